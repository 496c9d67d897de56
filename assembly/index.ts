// The kernel's exports; src/formats/kernel/wasm.ts calls them.
export { input, output, scratch, pgnos, sizes, offsets, states, result } from "./memory";
export { init, crc, shift } from "./crc64";
export { compress, decompress } from "./lz4";
export { encodePages, decodeFrames } from "./frames";
export { scanWAL } from "./wal";
export { hashPages } from "./xxh64";
