/** Colour maps as look-up tables of 256 packed pixels, and the gradient of a legend. */

// Every 32nd part of matplotlib's maps; between them it is linear.
const STOPS = {
  grey: "000000ffffff",
  viridis: "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c" +
    "1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
  magma: "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779" +
    "c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2fcfdbf",
  turbo: "30123b392a734040a24456c7466be34680f64294ff37a8fa28bceb1ccdd818ddc21fe9af32f2984ef97d6dfe628bff4ba4fc3c" +
    "b9f635cdec34dfdf37eecf3af8be39fdac34fe962bfb7e21f46617eb500edf3f08d02f05be2102a91601920b017a0403",
  // As weather services draw rain: nothing is dark, then blue, green, yellow, red; the extreme is violet to white.
  rain: "10141c1b3a6b1f5fa82f8fd63fb8c92fae6c1f9a3a63b82fb5d334f2e03af9b62bf58a21ec5a1cd92f1fb01a3a8f1a74a344b8" +
    "d9a6f0f8e9ff",
};
// Too low is blue, too high is red, no error is neutral: Okabe and Ito's pair, which any colour vision tells apart.
const SIGNED = {
  light: "00456e0072b266b1dcf4f5f7ec9a5fd55e00843a00",
  dark: "a8dcfb56b4e91f5f8614181ea84b06e69f00ffe0a0",
};

/** Packed as ImageData's bytes lie in memory: A, B, G, R of a little-endian 32-bit word. */
export const packed = (red, green, blue) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;

function table(stops) {
  const colours = stops.match(/../g).map((pair) => parseInt(pair, 16));
  const last = colours.length / 3 - 1;
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * last;
    const low = Math.min(last - 1, Math.floor(at));
    const mixed = [0, 1, 2].map((channel) => {
      const [from, to] = [colours[low * 3 + channel], colours[low * 3 + 3 + channel]];
      return Math.round(from + (at - low) * (to - from));
    });
    return packed(...mixed);
  });
}

const made = new Map();

function once(key, stops) {
  if (!made.has(key)) made.set(key, table(stops));
  return made.get(key);
}

/** @param {"grey"|"viridis"|"magma"|"turbo"|"rain"} name */
export const colourMap = (name) => once(name, STOPS[name]);

/** From too low over right to too high. @param {"light"|"dark"} theme */
export const signedMap = (theme) => once(`signed ${theme}`, SIGNED[theme]);

/** Draws a map from left to right, one column a colour. */
export function drawGradient(canvas, map) {
  canvas.width = 256;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const row = context.createImageData(256, 1);
  new Uint32Array(row.data.buffer).set(map);
  context.putImageData(row, 0, 0);
}
