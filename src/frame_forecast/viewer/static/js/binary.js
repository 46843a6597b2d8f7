/**
 * Frames as they travel: `application/x-frames`, little endian (docs/api.md). "FFR1", the length of a JSON header, the
 * header, the values of (T, C, H, W) in C order, and what of them is observed.
 */

const MAGIC = "FFR1";
const ARRAYS = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array,
  float32: Float32Array, float64: Float64Array, bool: Uint8Array,
};

/**
 * @typedef {Object} Frame one frame of a clip
 * @property {Uint8Array|Uint16Array|Float32Array} values (C, H, W), in the source's units
 * @property {true|false|Uint8Array} observed all of it, nothing of it, or (H, W) of 0 and 1
 */

/**
 * @param {ArrayBuffer} buffer
 * @returns {{start: number, frames: Frame[]}}
 * @throws {Error} where it is not in the format
 */
export function parse(buffer) {
  if (buffer.byteLength < 8) throw new Error("the answer with frames is cut short");
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (magic !== MAGIC) throw new Error(`frames begin with ${MAGIC}, not with ${magic}`);
  const length = new DataView(buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const [count, channels, height, width] = header.shape;
  const Values = ARRAYS[header.dtype];
  if (!Values) throw new Error(`values of ${header.dtype} are not known here`);
  const size = channels * height * width;
  let offset = 8 + length;
  const all = new Values(buffer, offset, count * size);
  offset += all.byteLength;
  const frames = [];
  const packed = Math.ceil((height * width) / 8);
  for (let t = 0; t < count; t++) {
    let observed = true;
    if (header.observed === "frames") observed = new Uint8Array(buffer, offset + t, 1)[0] === 1;
    if (header.observed === "pixels") {
      observed = mask(new Uint8Array(buffer, offset + t * packed, packed), height * width);
    }
    frames.push({ values: all.subarray(t * size, (t + 1) * size), observed });
  }
  return { start: header.start, frames };
}

/**
 * @param {Uint8Array} values (T, 1, H, W)
 * @param {number[]} shape
 * @returns {ArrayBuffer}
 */
export function pack(values, shape) {
  const header = JSON.stringify({ dtype: "uint8", shape, start: 0, observed: "all" });
  const length = Math.ceil((8 + header.length) / 8) * 8 - 8;
  const bytes = new Uint8Array(8 + length + values.length);
  bytes.set(new TextEncoder().encode(MAGIC + "    " + header.padEnd(length)));
  new DataView(bytes.buffer).setUint32(4, length, true);
  bytes.set(values, 8 + length);
  return bytes.buffer;
}

/** 0 and 1 of each bit, the most significant first; all ones are `true`, all zeros `false`. */
function mask(bits, count) {
  const unpacked = new Uint8Array(count);
  let ones = 0;
  for (let i = 0; i < count; i++) ones += unpacked[i] = (bits[i >> 3] >> (7 - (i & 7))) & 1;
  return ones === count ? true : ones === 0 ? false : unpacked;
}

/**
 * Packs a mask into bits, the most significant first, as base64.
 * @param {Uint8Array} pixels (H, W) of 0 and 1
 * @returns {string}
 */
export function packedMask(pixels) {
  const bits = new Uint8Array(Math.ceil(pixels.length / 8));
  pixels.forEach((one, i) => { if (one) bits[i >> 3] |= 128 >> (i & 7); });
  let text = "";
  for (const byte of bits) text += String.fromCharCode(byte);
  return btoa(text);
}
