// How many curves pass through each pixel.
//
// A segment is not walked pixel by pixel: only where it enters and leaves a row (flat ones) or a column (steep ones) is noted, in two arrays of
// differences that are summed up once at the end. The work follows the smaller of the rows and columns that a segment crosses, and not the pixels.

export interface Curves {
  /** Values of all curves one after the other. */
  values: Float32Array;
  /** Where each curve begins, and the end. */
  offsets: Uint32Array;
}

export interface Frame {
  width: number;
  height: number;
  /** What the left and the right edge stand for. */
  x: [number, number];
  /** What the lower and the upper edge stand for. */
  y: [number, number];
  logY: boolean;
  /** Every so many curves only. */
  every: number;
  /** Curves whose flag is 0 are left out. */
  use: Uint8Array | null;
  /** x of the points of every curve; otherwise their places. */
  positions: Float32Array | null;
}

/** Counts by row and column, from the upper left; a curve counts once in a column of a segment. */
export function count(curves: Curves, frame: Frame): { counts: Uint16Array; highest: number } {
  const { width, height, positions, use, every } = frame;
  const { values, offsets } = curves;
  const stride = width + 1;
  const along = new Int32Array(stride * (height + 1));
  const down = new Int32Array(stride * (height + 1));
  const log = frame.logY;
  const transform = (value: number) => (log ? (value > 0 ? Math.log(value) : NaN) : value);
  const [x0, x1] = frame.x;
  const [y0, y1] = [transform(frame.y[0]), transform(frame.y[1])];
  const sx = width / (x1 - x0);
  const sy = height / (y1 - y0);

  for (let curve = 0; curve + 1 < offsets.length; curve += every) {
    if (use && use[curve] === 0) continue;
    const [from, to] = [offsets[curve]!, offsets[curve + 1]!];
    // Columns before this one are done.
    let done = 0;
    let ax = NaN;
    let ay = NaN;
    for (let i = from; i < to; i++) {
      const bx = ((positions ? positions[i - from]! : i - from) - x0) * sx;
      const by = (y1 - transform(values[i]!)) * sy;
      if (to - from === 1 && bx >= 0 && bx < width && by >= 0 && by < height) {
        const at = (by | 0) * stride + (bx | 0);
        along[at]!++;
        along[at + 1]!--;
      }
      if (ay === ay && by === by && bx > done && ax < width) {
        const [dx, dy] = [bx - ax, by - ay];
        const slope = dy / dx;
        const left = ax > done ? ax : done;
        const right = bx < width ? bx : width;
        const ly = left > ax ? ay + (left - ax) * slope : ay;
        const ry = right < bx ? ay + (right - ax) * slope : by;
        const first = left | 0;
        const end = Math.ceil(right);
        const [low, high] = ly < ry ? [ly, ry] : [ry, ly];
        if (high >= 0 && low < height) {
          const top = low < 0 ? 0 : low | 0;
          const bottom = high >= height ? height - 1 : high | 0;
          if (top === bottom && low >= 0 && high < height) {
            along[top * stride + first]!++;
            along[top * stride + end]!--;
          } else if (bottom - top < end - first) {
            // Row by row from the left: a row ends in the column in which the next begins, and that column belongs to both.
            const inverse = dx / dy;
            const falls = slope > 0;
            const enters = falls ? ly < 0 : ly >= height;
            let column = enters ? (ax + ((falls ? 0 : height) - ay) * inverse) | 0 : first;
            if (column < first) column = first;
            const leaves = falls ? high >= height : low < 0;
            const last = falls ? bottom : top;
            const step = falls ? 1 : -1;
            for (let row = falls ? top : bottom; ; row += step) {
              let next = row === last && !leaves ? end - 1 : (ax + (row + (falls ? 1 : 0) - ay) * inverse) | 0;
              if (next >= end) next = end - 1;
              along[row * stride + column]!++;
              along[row * stride + next + 1]!--;
              column = next;
              if (row === last) break;
            }
          } else {
            let before = ly;
            for (let column = first; column < end; column++) {
              const after = column + 1 < right ? ay + (column + 1 - ax) * slope : ry;
              const upper = before < after ? before : after;
              const lower = before < after ? after : before;
              before = after;
              if (lower < 0 || upper >= height) continue;
              down[(upper < 0 ? 0 : upper | 0) * stride + column]!++;
              down[(lower >= height ? height : (lower | 0) + 1) * stride + column]!--;
            }
          }
        }
        done = end;
      }
      ax = bx;
      ay = by;
    }
  }

  const counts = new Uint16Array(width * height);
  const columns = new Int32Array(width);
  let highest = 0;
  for (let row = 0; row < height; row++) {
    let run = 0;
    for (let column = 0, at = row * stride, out = row * width; column < width; column++, at++, out++) {
      run += along[at]!;
      const n = run + (columns[column]! += down[at]!);
      if (n > highest) highest = n;
      counts[out] = n > 65535 ? 65535 : n;
    }
  }
  return { counts, highest: Math.min(65535, highest) };
}
