/** Damages bytes in the ways in which files and disks and attackers do. */

/** A copy of one of `corpus`, with one to four changes. */
export function mutate(corpus: readonly Uint8Array[], random: () => number): Uint8Array {
  let bytes: Uint8Array = (corpus[random() % corpus.length] as Uint8Array).slice();
  const changes = 1 + (random() % 4);
  for (let i = 0; i < changes; i++) bytes = change(bytes, corpus, random);
  return bytes;
}

function change(
  bytes: Uint8Array,
  corpus: readonly Uint8Array[],
  random: () => number,
): Uint8Array {
  const at = bytes.length === 0 ? 0 : random() % bytes.length;
  const length = random() % 24;
  switch (random() % 10) {
    case 0:
    case 1:
      return flipBit(bytes, at, random);
    case 2:
      bytes[at] = random();
      return bytes;
    case 3:
      return bytes.fill(random() % 2 === 0 ? 0 : 255, at, at + 1 + (length % 9));
    case 4:
      return bytes.slice(0, at);
    case 5:
      return insert(bytes, at, Uint8Array.from({ length }, random));
    case 6:
      return insert(bytes.slice(0, at), at, bytes.subarray(Math.min(bytes.length, at + length)));
    case 7:
      return insert(bytes, at, bytes.slice(at, at + length));
    case 8: {
      const other = corpus[random() % corpus.length] as Uint8Array;
      const from = other.length === 0 ? 0 : random() % other.length;
      bytes.set(other.subarray(from, from + Math.min(length, bytes.length - at)), at);
      return bytes;
    }
    default:
      return setNumber(bytes, at, random);
  }
}

function flipBit(bytes: Uint8Array, at: number, random: () => number): Uint8Array {
  if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << (random() & 7));
  return bytes;
}

/** Numbers that length fields should not hold. */
function setNumber(bytes: Uint8Array, at: number, random: () => number): Uint8Array {
  if (bytes.length < at + 4) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = [
    0,
    1,
    2,
    255,
    65_535,
    65_536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    random() % 5000,
  ];
  view.setUint32(at, values[random() % values.length] ?? 0, random() % 2 === 0);
  return bytes;
}

function insert(bytes: Uint8Array, at: number, piece: Uint8Array): Uint8Array {
  const longer = new Uint8Array(bytes.length + piece.length);
  longer.set(bytes.subarray(0, at));
  longer.set(piece, at);
  longer.set(bytes.subarray(at), at + piece.length);
  return longer;
}
