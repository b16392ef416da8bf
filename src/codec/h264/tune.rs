//! TEMPORARY
use std::sync::OnceLock;
static T: OnceLock<[i32; 32]> = OnceLock::new();
pub(super) fn tune(i: usize, default: i32) -> i32 {
    let t = T.get_or_init(|| {
        let mut a = [i32::MIN; 32];
        for (k, v) in a.iter_mut().enumerate() {
            if let Ok(s) = std::env::var(format!("T{k}")) {
                *v = s.parse().unwrap_or(i32::MIN);
            }
        }
        a
    });
    if t[i] == i32::MIN { default } else { t[i] }
}
