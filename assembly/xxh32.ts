// xxHash32 with seed 0: the checksum of LZ4 frames.

const P1: u32 = 2654435761;
const P2: u32 = 2246822519;
const P3: u32 = 3266489917;
const P4: u32 = 668265263;
const P5: u32 = 374761393;

export function xxh32(p: usize, n: u32): u32 {
  const end = p + n;
  let h: u32;
  if (n >= 16) {
    let a = P1 + P2;
    let b = P2;
    let c: u32 = 0;
    let d: u32 = 0 - P1;
    for (; p + 16 <= end; p += 16) {
      a = rotl<u32>(a + load<u32>(p) * P2, 13) * P1;
      b = rotl<u32>(b + load<u32>(p, 4) * P2, 13) * P1;
      c = rotl<u32>(c + load<u32>(p, 8) * P2, 13) * P1;
      d = rotl<u32>(d + load<u32>(p, 12) * P2, 13) * P1;
    }
    h = rotl<u32>(a, 1) + rotl<u32>(b, 7) + rotl<u32>(c, 12) + rotl<u32>(d, 18);
  } else {
    h = P5;
  }
  h += n;
  for (; p + 4 <= end; p += 4) h = rotl<u32>(h + load<u32>(p) * P3, 17) * P4;
  for (; p < end; p++) h = rotl<u32>(h + (<u32>load<u8>(p)) * P5, 11) * P1;
  h = (h ^ (h >> 15)) * P2;
  h = (h ^ (h >> 13)) * P3;
  return h ^ (h >> 16);
}
