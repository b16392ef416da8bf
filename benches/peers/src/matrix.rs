//! JPEG encoders side by side at several qualities on several kinds of content: a table, and charts where asked.

use std::path::Path;

use crate::charts::{self, Line, Panel};
use crate::contents::{self, Content};
use crate::encoders::{self, Make};
use crate::{Result, judge, speed};

const QUALITIES: [u8; 4] = [50, 75, 90, 95];
/// Quality whose speeds are drawn.
const DRAWN_QUALITY: u8 = 75;

struct Row {
    content: &'static str,
    quality: u8,
    name: String,
    /// Mpx/s on one thread and on two.
    speeds: [f64; 2],
    bits_per_pixel: f64,
    psnr_db: f64,
    ssim: f64,
}

/// What stands for all rounds.
type Pick = fn(&mut [f64]) -> f64;

/// Measures all, prints the table, and writes the charts to `folder`.
pub fn run(rounds: usize, pick: Pick, folder: Option<&Path>) -> Result<()> {
    let mut rows = Vec::new();
    for content in contents::load()? {
        for quality in QUALITIES {
            eprint!("\r{} at quality {quality}    ", content.name);
            rows.extend(measure(&content, quality, rounds, pick)?);
        }
    }
    eprintln!();
    println!("| content | quality | encoder | Mpx/s, 1 thread | Mpx/s, 2 threads | bits/px | PSNR dB | SSIM |");
    println!("|---|---:|---|---:|---:|---:|---:|---:|");
    for row in &rows {
        let Row { content, quality, name, speeds: [one, two], bits_per_pixel, psnr_db, ssim } = row;
        println!(
            "| {content} | {quality} | {name} | {one:.0} | {two:.0} | {bits_per_pixel:.2} | {psnr_db:.2} | {ssim:.4} |"
        );
    }
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("jpeg-size.svg"), size_chart(&rows))?;
        std::fs::write(folder.join("jpeg-speed.svg"), speed_chart(&rows))?;
    }
    Ok(())
}

/// All encoders on one kind of content, round after round in turn.
fn measure(content: &Content, quality: u8, rounds: usize, pick: Pick) -> Result<Vec<Row>> {
    let all: Vec<(String, Make)> = encoders::jpegs(quality);
    let mut speeds: Vec<[Vec<f64>; 2]> = all.iter().map(|_| Default::default()).collect();
    for _ in 0..rounds {
        for ((_, make), speeds) in all.iter().zip(&mut speeds) {
            for threads in [1, 2] {
                speeds[threads - 1].push(speed(make, &content.pictures, threads)?);
            }
        }
    }
    let rows = all.iter().zip(&mut speeds).map(|((name, make), speeds)| {
        let (bits_per_pixel, found) = judge(make()?.as_mut(), &content.pictures)?;
        let (psnr_db, ssim) = found.unwrap_or((f64::INFINITY, 1.0));
        let speeds = speeds.each_mut().map(|speeds| pick(speeds));
        Ok(Row { content: content.name, quality, name: name.clone(), speeds, bits_per_pixel, psnr_db, ssim })
    });
    rows.collect()
}

/// Names in the order they first come.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn size_chart(rows: &[Row]) -> String {
    let names = distinct(rows.iter().map(|row| row.name.as_str()));
    let panels: Vec<Panel> = distinct(rows.iter().map(|row| row.content))
        .into_iter()
        .map(|content| Panel {
            title: content.to_owned(),
            lines: names
                .iter()
                .map(|&name| Line {
                    name: name.replace("**", ""),
                    points: rows
                        .iter()
                        .filter(|row| row.content == content && row.name == name)
                        .map(|row| (row.bits_per_pixel, row.psnr_db))
                        .collect(),
                })
                .collect(),
        })
        .collect();
    charts::lines(&panels, "bits a pixel", "dB")
}

fn speed_chart(rows: &[Row]) -> String {
    let groups: Vec<_> = distinct(rows.iter().map(|row| row.content))
        .into_iter()
        .map(|content| {
            let rows = rows.iter().filter(|row| row.content == content && row.quality == DRAWN_QUALITY);
            let bars = rows.map(|row| (row.name.replace("**", ""), row.speeds[0])).collect();
            (format!("{content} at quality {DRAWN_QUALITY}"), bars)
        })
        .collect();
    charts::bars(&groups, "Mpx/s on one thread")
}
