/** Pages to compress, made from a seed. */

export type PageKind = "zero" | "random" | "rows" | "periods";

export const PAGE_KINDS: readonly PageKind[] = ["zero", "random", "rows", "periods"];
export const PAGE_SIZES: readonly number[] = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

export function samplePage(kind: PageKind, size: number, seed: number): Uint8Array {
  switch (kind) {
    case "zero":
      return new Uint8Array(size);
    case "random":
      return noise(seed, size);
    case "rows":
      return rows(seed, size);
    case "periods":
      return new Uint8Array(size).map((_, i) => (i % (1 + (seed & 7))) + ((i >> 7) % 5));
  }
}

/** Bytes that do not compress. */
export function noise(seed: number, length: number): Uint8Array {
  const random = randomSource(seed);
  return new Uint8Array(length).map(() => random() >>> 9);
}

/** Like a page of a table: a free part of zeros, then records of keys, names and hashes. */
function rows(seed: number, size: number): Uint8Array {
  const random = randomSource(seed);
  const page = new Uint8Array(size);
  const encoder = new TextEncoder();
  let at = Math.floor(size / 8);
  for (let id = seed & 0xffff; at < size; id++) {
    const text = `${id}user${random() % 900}@example.org,${(random() >>> 0).toString(16)},open;`;
    at += encoder.encodeInto(text, page.subarray(at)).written || 1;
  }
  return page;
}

/** xorshift32: signed 32-bit numbers. */
export function randomSource(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
