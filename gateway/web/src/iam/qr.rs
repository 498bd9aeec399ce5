//! The seed of a second factor as a picture: a QR code of an `otpauth` URI, in black and white, as a PNG.
//!
//! The picture is one bit a pixel, without a palette: signature, `IHDR`, `IDAT`, `IEND`. Four modules of white are around the code, as its
//! readers want them.

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::{Color, QrCode};
use std::io::Write as _;
use zeroize::Zeroizing;

/// White around the code, and pixels of a side of a module.
const QUIET: usize = 4;
const SCALE: usize = 4;

/// What authenticator apps read: `otpauth://totp/NAME@ISSUER?secret=SEED&issuer=ISSUER`.
pub(super) fn uri(name: &str, issuer: &str, seed: &str) -> Zeroizing<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (name, issuer) = (encode(name), encode(issuer));
    Zeroizing::new(format!("otpauth://totp/{name}@{issuer}?secret={seed}&issuer={issuer}"))
}

/// The picture of a text; `None` where it is too long for one.
pub(super) fn picture(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let code = QrCode::new(text).ok()?;
    let modules = code.width();
    let colors = code.into_colors();
    let side = (modules + 2 * QUIET) * SCALE;
    let is_dark = |x: usize, y: usize| {
        let at = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|at| *at < modules);
        let (x, y) = (at(x)?, at(y)?);
        colors.get(y * modules + x).map(|color| *color == Color::Dark)
    };
    let mut rows = Zeroizing::new(Vec::with_capacity(side * (side / 8 + 2)));
    for y in 0..side {
        // Each row begins with its filter: none.
        rows.push(0);
        for begin in (0..side).step_by(8) {
            let bit = |x: usize| u8::from(x < side && !is_dark(x, y).unwrap_or_default()) << (7 - x % 8);
            rows.push((begin..begin + 8).map(bit).fold(0, |byte, bit| byte | bit));
        }
    }
    png(u32::try_from(side).ok()?, &rows).ok()
}

/// A picture of so many pixels a side, of one bit each.
fn png(side: u32, rows: &[u8]) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(rows)?;
    let packed = Zeroizing::new(packed.finish()?);
    let mut out = Zeroizing::new(b"\x89PNG\r\n\x1a\n".to_vec());
    // One bit, shades of grey, and what there is one of each: compression, filters, no interlacing.
    let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    for (kind, data) in [(b"IHDR", head.as_slice()), (b"IDAT", packed.as_slice()), (b"IEND", &[])] {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        let length = u32::try_from(data.len()).map_err(std::io::Error::other)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(kind);
        out.extend_from_slice(data);
        out.extend_from_slice(&crc.sum().to_be_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{picture, uri};
    use flate2::read::ZlibDecoder;
    use std::io::Read as _;

    #[test]
    fn a_picture_has_the_code_with_white_around_it() {
        let text = uri("a phone", "company", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
        assert_eq!(
            *text,
            "otpauth://totp/a%20phone@company?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=company"
        );
        let png = picture(&text).unwrap();
        assert_eq!(&png[..16], b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR");
        let side = u32::from_be_bytes(png[16..20].try_into().unwrap()) as usize;
        let modules = side / 4 - 8;
        assert_eq!((side % 4, (modules - 17) % 4), (0, 0), "versions of codes have these sides");
        let data = png.windows(4).position(|kind| kind == b"IDAT").unwrap();
        let length = u32::from_be_bytes(png[data - 4..data].try_into().unwrap()) as usize;
        let mut rows = Vec::new();
        ZlibDecoder::new(&png[data + 4..data + 4 + length]).read_to_end(&mut rows).unwrap();
        let row = side.div_ceil(8) + 1;
        assert_eq!(rows.len(), row * side);
        let dark = |x: usize, y: usize| rows[y * row + 1 + x / 8] >> (7 - x % 8) & 1 == 0;
        assert!((0..16).all(|n| !dark(n, 40) && !dark(40, n)), "white");
        // The corners that readers look for: seven modules of dark on three corners, and not on the fourth.
        let far = side - 16 - 28;
        for (x, y, is) in [(16, 16, true), (far, 16, true), (16, far, true), (far, far, false)] {
            assert_eq!((0..28).all(|n| dark(x + n, y)), is, "{x} {y}");
        }
        assert!(picture(&"x".repeat(5_000)).is_none());
    }
}
