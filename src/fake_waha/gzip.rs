//! Reads gzip bodies, which WAHA accepts. A plain inflater with a size limit: small rather than fast, for the odd
//! client that compresses. Checksums are not verified.

/// Why a body could not be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GzipError {
    /// Not gzip, or cut or damaged.
    Damaged,
    /// Larger than the limit once unpacked.
    TooLarge,
}

/// Unpacks one gzip member.
pub(super) fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let body = skip_header(packed).ok_or(GzipError::Damaged)?;
    inflate(body, limit)
}

fn skip_header(packed: &[u8]) -> Option<&[u8]> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const HEADER_CRC: u8 = 2;
    let [0x1f, 0x8b, 8, flags, ..] = *packed else { return None };
    let mut rest = packed.get(10..)?;
    if flags & EXTRA != 0 {
        let length = usize::from(*rest.first()?) | usize::from(*rest.get(1)?) << 8;
        rest = rest.get(2 + length..)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

struct Bits<'a> {
    bytes: &'a [u8],
    held: u32,
    count: u32,
}

impl Bits<'_> {
    fn take(&mut self, wanted: u32) -> Result<u32, GzipError> {
        while self.count < wanted {
            let (&byte, rest) = self.bytes.split_first().ok_or(GzipError::Damaged)?;
            self.bytes = rest;
            self.held |= u32::from(byte) << self.count;
            self.count += 8;
        }
        let value = self.held & ((1_u32 << wanted) - 1);
        self.held >>= wanted;
        self.count -= wanted;
        Ok(value)
    }

    /// Drops the rest of the current byte.
    fn align(&mut self) {
        self.held = 0;
        self.count = 0;
    }
}

const LONGEST_CODE: usize = 15;

/// A canonical Huffman code: how many codes there are of each length, and the symbols in order of their codes.
struct Huffman {
    counts: [u16; LONGEST_CODE + 1],
    symbols: Vec<u16>,
}

impl Huffman {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0_u16; LONGEST_CODE + 1];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let mut symbols: Vec<u16> = (0..).take(lengths.len()).collect();
        symbols.retain(|symbol| lengths[usize::from(*symbol)] != 0);
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Self { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<u16, GzipError> {
        let (mut code, mut first, mut index) = (0_i32, 0_i32, 0_i32);
        for count in &self.counts[1..] {
            code |= i32::try_from(bits.take(1)?).unwrap_or(0);
            let count = i32::from(*count);
            if code - first < count {
                let place = usize::try_from(index + code - first).map_err(|_| GzipError::Damaged)?;
                return self.symbols.get(place).copied().ok_or(GzipError::Damaged);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(GzipError::Damaged)
    }
}

fn inflate(packed: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let mut bits = Bits { bytes: packed, held: 0, count: 0 };
    let mut out = Vec::new();
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out, limit)?,
            1 => {
                let mut lengths = [8_u8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                block(&mut bits, &mut out, limit, &Huffman::new(&lengths), &Huffman::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = dynamic_codes(&mut bits)?;
                block(&mut bits, &mut out, limit, &literals, &distances)?;
            }
            _ => return Err(GzipError::Damaged),
        }
        if is_last {
            return Ok(out);
        }
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>, limit: usize) -> Result<(), GzipError> {
    bits.align();
    let length = bits.take(16)?;
    if bits.take(16)? != !length & 0xffff {
        return Err(GzipError::Damaged);
    }
    let (bytes, rest) = bits.bytes.split_at_checked(length as usize).ok_or(GzipError::Damaged)?;
    bits.bytes = rest;
    if out.len() + bytes.len() > limit {
        return Err(GzipError::TooLarge);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn dynamic_codes(bits: &mut Bits<'_>) -> Result<(Huffman, Huffman), GzipError> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let code_lengths = bits.take(4)? as usize + 4;
    let mut lengths = [0_u8; 19];
    for place in &ORDER[..code_lengths] {
        lengths[*place] = bits.take(3)? as u8;
    }
    let codes = Huffman::new(&lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match codes.symbol(bits)? {
            symbol @ 0..=15 => (symbol as u8, 1),
            16 => (*lengths.last().ok_or(GzipError::Damaged)?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            _ => (0, bits.take(7)? + 11),
        };
        lengths.extend(std::iter::repeat_n(value, times as usize));
    }
    if lengths.len() > literals + distances {
        return Err(GzipError::Damaged);
    }
    let (literal_lengths, distance_lengths) = lengths.split_at(literals);
    Ok((Huffman::new(literal_lengths), Huffman::new(distance_lengths)))
}

fn block(
    bits: &mut Bits<'_>,
    out: &mut Vec<u8>,
    limit: usize,
    literals: &Huffman,
    distances: &Huffman,
) -> Result<(), GzipError> {
    const LENGTHS: [(u16, u8); 29] = [
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (13, 1),
        (15, 1),
        (17, 1),
        (19, 2),
        (23, 2),
        (27, 2),
        (31, 2),
        (35, 3),
        (43, 3),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 4),
        (115, 4),
        (131, 5),
        (163, 5),
        (195, 5),
        (227, 5),
        (258, 0),
    ];
    const END: u16 = 256;
    loop {
        match literals.symbol(bits)? {
            literal @ 0..END => out.push(literal as u8),
            END => return Ok(()),
            length => {
                let (base, extra) = *LENGTHS.get(usize::from(length - 257)).ok_or(GzipError::Damaged)?;
                let length = usize::from(base) + bits.take(u32::from(extra))? as usize;
                let symbol = u32::from(distances.symbol(bits)?);
                let distance = match symbol {
                    0..=3 => symbol + 1,
                    4..=29 => {
                        let extra = symbol / 2 - 1;
                        ((2 + symbol % 2) << extra) + 1 + bits.take(extra)?
                    }
                    _ => return Err(GzipError::Damaged),
                };
                let start = out.len().checked_sub(distance as usize).ok_or(GzipError::Damaged)?;
                for place in start..start + length {
                    out.push(out[place]);
                }
            }
        }
        if out.len() > limit {
            return Err(GzipError::TooLarge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    // Packed by GNU gzip.
    const FIXED: &str = "1f8b0800000000000203ab562a4e2d2ececccf53b25252d2514ace482cf14c01b20d1d92f54a8b956a01c5c1175d20000000";
    const DYNAMIC: &str = "1f8b08000000000002034d964b8edc300c44f739c51c4124f53d5002040892fbefa266b14ab36bb76de999bfa73fbffffefc\
        6a5fff7e7db51f7f3ebfedf3dbf0db3fbf3b7ec7e7f7c1ef9ecf4c5c8ccf850f5ccccf45d49d95afd73bfb73316bb1f3b9d8\
        b58be5f6d6080002e7dd84b05e6f5a60ef5ad580726a47030c696c828d7713c837df4da470ae7cc0ce6f4faa4e2a4faade79\
        17a1d9f5ae27d5f05ad9936aacdad7936a92ca936aea6e522dbd9b544b2b2354dc3792ea902a92ea903910abc64f0a04abf1\
        8b03d132062406424db298b8663823d12c18edd8950bae9f703698ab8e4c4ee275a47232d31d7c8b65d0c1b75923bdb2c902\
        ea4867235f473e8da5d791506f7c3ff93c1ad74f3eefadf61f0df540be917c3e753ff97cf1fd112818ae3f92cf8f4a3ff942\
        7c03e56fe41fab2a8cefa3e282df3f50729df1990d2548be997cb118df997cb119ff997c71989fd951b3ccdf4cbeaefccee4\
        ebc1fc4f7468677dcce4eb93f53393af2fd6d7424fa8fc56f28dc6ea5cc9378cc5bbd016c1da5ee88bced25fc937d4196ba2\
        6f743ff9c6d1fb18224deb1f3416f7df0d43867c3bf9e620ff76741ebf6f27dfdcfcfe9d7cab313e7ba035c9b7936f05e3bb\
        d1ba83f1dfe8ddc5fcece45b87f93b0d738f7c27f9b633ffc7d1ec1a93c9b727ebe724dfdeacaf33300dc87792ef6ec7fbc9\
        773aebf76c8c0bd6f749beb39b263147b18671b31a29ef991a329dab58ab3133b9cfbd59838724d6306a4cacf771fce3a167\
        306eee7cd13a183836a7f6c2c8b12d7b943efc9b40ca20218794447c4823e5115f3249a9c48f64029b583c9f4028165d4a31\
        8e4859055ab138120bcc62dda69cd66a908a197eb19b7a3d53e2dbac7683656c18fbc1201a1bc18e31b8c65e4f19746363bf\
        67c03cbfad03e6196f2f30cfc71335dcd5fd06fbd87adf55025a5ddf5e0a5a2f3e25a17514c3d2d07e712e115d31e81930ef\
        97af92d169ef68704a1fca7b09e968a25a29e9bcfa81946e7dabc6a0256faf0e21266f4bb55a6afa56cf9453a8e64b4ff6fa\
        a204f581e63f5094bffe2a493d4b5969ca5f9f96a8c2b44ea92ad4eb56b28a251ee8eaea50cc1096f7d0774159de35730cd2\
        ba0e537ca02d1f9a5b364bac2fce50970fcd3e83bcfc4e6bae037df9d4fc3408cc6fb190070af3f5ed4c07e635543fd0982f\
        cd7183c8fc5694f602f3960b0c32bba7413143677ee41383d0fc0cf505947687847a0752bb8700f5d7aa63c1eb41882dda79\
        cfac3a2abc757038b8ecda0bc703975f0d82bb070a314371e172b4417211a66f87e622fa3bf98239b66208d5c53b2b186477\
        479d7201dd45d779c320bc18a19c4279317466b153879a379fa1bd7b0a52fd407c7788aac6a0be7bf4511d427e77d2a956a1\
        bfd8af9e21c03bc554f350606c9de10c12bce359bd030d5eabdffefa0f825e4acc100d0000";

    fn dynamic_text() -> String {
        (0..200).map(|n| format!("line {n} of {}\n", n * n)).collect()
    }

    #[test]
    fn unpacks_what_gzip_packs() {
        assert_eq!(unpack(&bytes(FIXED), 1000).unwrap(), br#"{"session":"","chatId":"1@c.us"}"#);
        assert_eq!(unpack(&bytes(DYNAMIC), 10_000).unwrap(), dynamic_text().as_bytes());
    }

    #[test]
    fn unpacks_stored_blocks() {
        let mut packed = bytes("1f8b0800000000000003");
        packed.extend_from_slice(&[1, 2, 0, 0xfd, 0xff, b'h', b'i']);
        assert_eq!(unpack(&packed, 10).unwrap(), b"hi");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        assert_eq!(unpack(&bytes(DYNAMIC), 1000), Err(GzipError::TooLarge));
    }

    #[test]
    fn cut_or_damaged_bodies_are_errors_never_panics() {
        let whole = bytes(DYNAMIC);
        for length in 0..whole.len() - 8 {
            let _ = unpack(&whole[..length], 10_000);
        }
        for at in 0..whole.len() {
            for flipped in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flipped;
                let _ = unpack(&damaged, 10_000);
            }
        }
        assert_eq!(unpack(b"not gzip", 10), Err(GzipError::Damaged));
    }
}
