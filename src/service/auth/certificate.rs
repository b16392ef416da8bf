//! The name in a client certificate.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// DER of the object identifier 2.5.4.3, the common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// Who a certificate is for: its first URI, else its first DNS name, else its common name; what names a caller, of these.
pub(crate) fn name_of(der: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(der).ok()?;
    let uri = certificate.valid_uri_names().next();
    let name = uri.or_else(|| certificate.valid_dns_names().next()).map(str::to_owned);
    let name = name.or_else(|| common_name(certificate.subject()))?;
    super::token::is_name(&name).then_some(name)
}

/// The common name of a subject, given as the content of its sequence: sets of sequences of an identifier and a string.
fn common_name(mut subject: &[u8]) -> Option<String> {
    while !subject.is_empty() {
        let (_, set, rest) = element(subject)?;
        subject = rest;
        let (_, pair, _) = element(set)?;
        let (kind, identifier, value) = element(pair)?;
        if kind == OBJECT_IDENTIFIER && identifier == COMMON_NAME {
            let (kind, text, _) = element(value)?;
            let is_text = [UTF8_STRING, PRINTABLE_STRING, IA5_STRING].contains(&kind);
            return std::str::from_utf8(text).ok().filter(|_| is_text).map(str::to_owned);
        }
    }
    None
}

/// Tag and content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn name(change: impl FnOnce(&mut CertificateParams)) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "camera-1");
        change(&mut params);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        name_of(made.der())
    }

    #[test]
    fn the_most_particular_name_is_taken() {
        let dns = SanType::DnsName("camera.example.org".try_into().unwrap());
        let uri = SanType::URI("spiffe://example.org/camera/1".try_into().unwrap());
        assert_eq!(name(|_| {}).as_deref(), Some("camera-1"));
        assert_eq!(name(|p| p.subject_alt_names = vec![dns.clone()]).as_deref(), Some("camera.example.org"));
        let both = name(|p| p.subject_alt_names = vec![dns, uri]);
        assert_eq!(both.as_deref(), Some("spiffe://example.org/camera/1"));
        assert_eq!(name(|p| p.distinguished_name.push(DnType::CommonName, "two words")), None);
        assert_eq!(name(|p| p.distinguished_name = rcgen::DistinguishedName::new()), None);
        assert_eq!(name_of(&CertificateDer::from(vec![0x30; 100])), None);
    }

    #[test]
    fn broken_subjects_have_no_name() {
        let whole = [0x31, 0x0B, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0C, 0x02, b'h', b'i'];
        assert_eq!(common_name(&whole).as_deref(), Some("hi"));
        for end in 0..whole.len() {
            assert_eq!(common_name(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut broken = whole;
                broken[at] = value;
                // Whatever it says, it ends and doesn't panic.
                let _ = common_name(&broken);
            }
        }
    }
}
