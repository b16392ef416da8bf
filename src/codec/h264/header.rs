//! The slice header (ITU-T H.264 7.3.3).

use crate::kernel::h264::weigh::Weight;

use super::bits::BitWriter;
use super::fade::Weights;
use super::params::{LOG2_MAX_FRAME_NUM, Sequence, WEIGHTED};

/// The one picture that a P slice predicts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// The newest short-term reference: a picture marked long-term isn't one any more.
    Newest,
    /// The long-term reference of this LongTermFrameIdx.
    LongTerm(u8),
}

/// What the picture becomes for those to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marking {
    /// A short-term reference; the oldest one goes if there are too many.
    Sliding,
    /// The long-term reference `index` (LongTermFrameIdx) of `slots`. Of an IDR picture only index 0 can be asked for.
    ///
    /// No short-term reference goes: the encoder sees to it that all fit into `Sequence::references`.
    LongTerm { index: u8, slots: u8 },
}

/// How the slice's edges are smoothed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deblocking {
    /// disable_deblocking_filter_idc: 0 all edges, 1 none, 2 those inside the slice.
    pub(super) idc: u8,
    /// slice_alpha_c0_offset_div2, -6..=6.
    pub(super) alpha_offset_div2: i8,
    /// slice_beta_offset_div2, -6..=6.
    pub(super) beta_offset_div2: i8,
}

/// What a slice's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SliceHeader {
    /// Address of its first macroblock, which begins a row.
    pub(super) first_macroblock: u32,
    /// An I slice; otherwise a P slice.
    pub(super) intra: bool,
    /// idr_pic_id of an IDR picture.
    pub(super) idr: Option<u16>,
    /// frame_num, of which the low [`LOG2_MAX_FRAME_NUM`] bits are written.
    pub(super) frame_num: u32,
    pub(super) reference: Reference,
    /// What becomes of the samples that a P slice predicts.
    pub(super) weights: Option<Weights>,
    pub(super) marking: Marking,
    /// SliceQPY, 0..=51.
    pub(super) qp: u8,
    pub(super) deblocking: Deblocking,
    /// cabac_init_idc of P slices, 0..=2.
    pub(super) cabac_init_idc: u8,
}

impl SliceHeader {
    /// nal_ref_idc: every picture is a reference, IDR pictures matter most.
    pub(super) const fn ref_idc(&self) -> u8 {
        if self.idr.is_some() { 3 } else { 2 }
    }

    /// Writes slice_header().
    pub(super) fn write(&self, sequence: &Sequence, bits: &mut BitWriter) {
        debug_assert!(self.idr.is_none() || self.intra, "an IDR picture has I slices only");
        bits.ue(self.first_macroblock);
        bits.ue(if self.intra { 2 } else { 0 });
        bits.ue(if self.weights.is_some() { WEIGHTED } else { 0 }); // pic_parameter_set_id
        bits.put(self.frame_num & ((1 << LOG2_MAX_FRAME_NUM) - 1), LOG2_MAX_FRAME_NUM);
        if let Some(id) = self.idr {
            bits.ue(id.into());
        }
        if !self.intra {
            bits.flag(false); // num_ref_idx_active_override_flag
            self.write_reference(bits);
            self.write_weights(bits);
        }
        self.write_marking(bits);
        if !self.intra && sequence.profile.has_cabac() {
            bits.ue(self.cabac_init_idc.into());
        }
        bits.se(i32::from(self.qp) - 26);
        let Deblocking { idc, alpha_offset_div2, beta_offset_div2 } = self.deblocking;
        bits.ue(idc.into());
        if idc != 1 {
            bits.se(alpha_offset_div2.into());
            bits.se(beta_offset_div2.into());
        }
    }

    /// ref_pic_list_modification().
    fn write_reference(&self, bits: &mut BitWriter) {
        match self.reference {
            Reference::Newest => bits.flag(false),
            Reference::LongTerm(index) => {
                bits.flag(true);
                bits.ue(2);
                bits.ue(index.into());
                bits.ue(3);
            }
        }
    }

    /// pred_weight_table().
    fn write_weights(&self, bits: &mut BitWriter) {
        let Some(Weights { luma, chroma }) = self.weights else { return };
        let write = |bits: &mut BitWriter, weight: Weight| {
            bits.se(weight.factor.into());
            bits.se(weight.offset.into());
        };
        bits.ue(luma.shift.into());
        bits.ue(chroma.map_or(0, |chroma| chroma.shift.into()));
        bits.flag(true); // luma_weight_l0_flag
        write(bits, luma);
        bits.flag(chroma.is_some());
        if let Some(chroma) = chroma {
            (0..2).for_each(|_| write(bits, chroma));
        }
    }

    /// dec_ref_pic_marking().
    fn write_marking(&self, bits: &mut BitWriter) {
        if self.idr.is_some() {
            bits.flag(false); // no_output_of_prior_pics_flag
            bits.flag(self.marking != Marking::Sliding);
            return;
        }
        match self.marking {
            Marking::Sliding => bits.flag(false),
            Marking::LongTerm { index, slots } => {
                bits.flag(true);
                bits.ue(4);
                bits.ue(slots.into());
                bits.ue(6);
                bits.ue(index.into());
                bits.ue(0);
            }
        }
    }
}
