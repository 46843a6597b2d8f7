/** Digits that move and bounce as in Moving MNIST (Srivastava et al., 2015), as in the package's own clips. */

export const SIZE = 64; // of a frame
export const DIGIT = 28;
export const FRAMES = 20;
export const GIVEN = 10; // of them; the rest is the truth that a forecast is compared with
const FREE = SIZE - DIGIT; // pixels that a digit can move by

/**
 * @typedef {Object} Mover
 * @property {Uint8Array} image (DIGIT, DIGIT)
 * @property {number} x where it begins, as a share of the free range
 * @property {number} y
 * @property {number} speed share of the free range a frame
 * @property {number} angle degrees; 0 is to the right, 90 is down
 */

/**
 * @param {Mover[]} movers
 * @returns {Uint8Array} (FRAMES, 1, SIZE, SIZE)
 */
export function move(movers) {
  const values = new Uint8Array(FRAMES * SIZE * SIZE);
  for (const { image, x: startX, y: startY, speed, angle } of movers) {
    let [x, y] = [startX, startY];
    let dx = Math.cos((angle * Math.PI) / 180) * speed;
    let dy = Math.sin((angle * Math.PI) / 180) * speed;
    for (let t = 0; t < FRAMES; t++) {
      [x, dx] = bounced(x + dx, dx);
      [y, dy] = bounced(y + dy, dy);
      paste(values, t, image, Math.trunc(FREE * x), Math.trunc(FREE * y));
    }
  }
  return values;
}

/** Beyond a wall it is put on the wall and turns back; what it went beyond is lost, as in the original. */
function bounced(at, step) {
  if (at <= 0) return [0, Math.abs(step)];
  if (at >= 1) return [1, -Math.abs(step)];
  return [at, step];
}

/** Where digits overlap, the brighter pixel is seen. */
function paste(values, t, image, left, top) {
  for (let row = 0; row < DIGIT; row++) {
    const from = t * SIZE * SIZE + (top + row) * SIZE + left;
    for (let column = 0; column < DIGIT; column++) {
      const value = image[row * DIGIT + column];
      if (value > values[from + column]) values[from + column] = value;
    }
  }
}
