/** How the kinds of frames look on the timeline. Each has a shape of its own, so that none is told by colour alone. */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./scene.js").FrameKind|"slot"|"none"} kind slot: a frame of the lane that could be hidden
 * @param {number} x left, in CSS pixels
 * @param {number} y top
 * @param {number} width
 * @param {number} height
 * @param {{ink: string, quiet: string, line: string, accent: string}} colours
 */
export function drawMark(context, kind, x, y, width, height, colours) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.lineWidth = 1.5;
  SHAPES[kind]({ context, x, y, width, height, ...colours });
  context.restore();
}

const fill = (context, colour, ...box) => {
  context.fillStyle = colour;
  context.fillRect(...box);
};

const frame = (context, colour, x, y, width, height) => {
  context.strokeStyle = colour;
  if (width > 4) context.strokeRect(x + 0.75, y + 0.75, width - 1.5, height - 1.5);
  else {
    fill(context, colour, x, y, width, 1.5);
    fill(context, colour, x, y + height - 1.5, width, 1.5);
  }
};

function slants(context, colour, x, y, width, height, both = false) {
  context.strokeStyle = colour;
  context.beginPath();
  const first = Math.floor((x - height) / 6) * 6; // by the place on the line: slants run on from frame to frame
  for (let at = first; at < x + width + height; at += 6) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
    if (both) {
      context.moveTo(at, y);
      context.lineTo(at + height, y + height);
    }
  }
  context.stroke();
}

const SHAPES = {
  // A solid block: it was there.
  given: ({ context, quiet, x, y, width, height }) => fill(context, quiet, x, y, width, height),
  // Its lower half is slanted.
  partly: ({ context, quiet, accent, x, y, width, height }) => {
    fill(context, quiet, x, y, width, height / 2);
    slants(context, accent, x, y + height / 2, width, height / 2);
  },
  // An empty box with a line through its middle.
  missing: ({ context, ink, x, y, width, height }) => {
    frame(context, ink, x, y, width, height);
    fill(context, ink, x, y + height / 2 - 0.75, width, 1.5);
  },
  // An empty box, crossed out.
  hidden: ({ context, ink, x, y, width, height }) => {
    frame(context, ink, x, y, width, height);
    slants(context, ink, x, y, width, height, true);
  },
  // Nothing but a base line.
  ahead: ({ context, quiet, x, y, width, height }) => fill(context, quiet, x, y + height - 2, width, 2),
  // A low block of the accent: it comes after.
  forecast: ({ context, accent, x, y, width, height }) =>
    fill(context, accent, x, y + height * 0.45, width, height * 0.55),
  // Slanted lines of the accent in a box.
  filled: ({ context, accent, x, y, width, height }) => {
    frame(context, accent, x, y, width, height);
    slants(context, accent, x, y, width, height);
  },
  slot: ({ context, line, x, y, width, height }) => fill(context, line, x, y, width, height),
  none: () => {},
};
