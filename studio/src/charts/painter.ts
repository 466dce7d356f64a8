// One drawing, two backends: the canvas that is seen and the SVG that is saved.

export interface Stroke {
  color: string;
  width?: number;
  dash?: number[];
  alpha?: number;
}

export type MarkKind = 'dot' | 'square' | 'triangle' | 'cross' | 'ring' | 'bar';

export interface Painter {
  readonly width: number;
  readonly height: number;
  /** A line through x, y, x, y, ...; NaN breaks it. */
  line(points: ArrayLike<number>, stroke: Stroke): void;
  rect(x: number, y: number, width: number, height: number, color: string, alpha?: number): void;
  mark(kind: MarkKind, x: number, y: number, size: number, color: string, alpha?: number): void;
  text(text: string, x: number, y: number, color: string, options?: TextOptions): void;
  image(image: HTMLCanvasElement | ImageBitmap | OffscreenCanvas, x: number, y: number, width: number, height: number): void;
  /** Draws only inside a box. */
  clip(x: number, y: number, width: number, height: number, draw: () => void): void;
}

export interface TextOptions {
  anchor?: 'start' | 'middle' | 'end';
  middle?: boolean;
  size?: number;
  bold?: boolean;
  turn?: boolean;
  max?: number;
}

const FONT = 'system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

export class CanvasPainter implements Painter {
  constructor(
    private readonly g: CanvasRenderingContext2D,
    readonly width: number,
    readonly height: number,
  ) {}

  line(points: ArrayLike<number>, stroke: Stroke): void {
    const { g } = this;
    g.strokeStyle = stroke.color;
    g.lineWidth = stroke.width ?? 1;
    g.globalAlpha = stroke.alpha ?? 1;
    g.lineJoin = 'round';
    g.setLineDash(stroke.dash ?? []);
    g.beginPath();
    let open = false;
    for (let i = 0; i + 1 < points.length; i += 2) {
      const [x, y] = [points[i]!, points[i + 1]!];
      if (Number.isNaN(x) || Number.isNaN(y)) open = false;
      else if (open) g.lineTo(x, y);
      else {
        g.moveTo(x, y);
        open = true;
      }
    }
    g.stroke();
    g.setLineDash([]);
    g.globalAlpha = 1;
  }

  rect(x: number, y: number, width: number, height: number, color: string, alpha = 1): void {
    this.g.globalAlpha = alpha;
    this.g.fillStyle = color;
    this.g.fillRect(x, y, width, height);
    this.g.globalAlpha = 1;
  }

  mark(kind: MarkKind, x: number, y: number, size: number, color: string, alpha = 1): void {
    const { g } = this;
    g.globalAlpha = alpha;
    g.fillStyle = color;
    g.strokeStyle = color;
    g.lineWidth = 1.6;
    g.beginPath();
    if (kind === 'dot') g.arc(x, y, size, 0, 7);
    else if (kind === 'square') g.rect(x - size, y - size, 2 * size, 2 * size);
    else if (kind === 'triangle') {
      g.moveTo(x, y - size * 1.2);
      g.lineTo(x + size * 1.1, y + size);
      g.lineTo(x - size * 1.1, y + size);
      g.closePath();
    } else if (kind === 'cross') {
      g.moveTo(x - size, y - size);
      g.lineTo(x + size, y + size);
      g.moveTo(x + size, y - size);
      g.lineTo(x - size, y + size);
    } else if (kind === 'bar') {
      g.moveTo(x - size * 1.6, y);
      g.lineTo(x + size * 1.6, y);
    } else g.arc(x, y, size, 0, 7);
    if (kind === 'dot' || kind === 'square' || kind === 'triangle') g.fill();
    else g.stroke();
    g.globalAlpha = 1;
  }

  text(text: string, x: number, y: number, color: string, options: TextOptions = {}): void {
    const { g } = this;
    g.fillStyle = color;
    g.font = `${options.bold ? '650 ' : ''}${options.size ?? 11.5}px ${FONT}`;
    g.textAlign = options.anchor === 'middle' ? 'center' : options.anchor === 'end' ? 'right' : 'left';
    g.textBaseline = options.middle ? 'middle' : 'alphabetic';
    const shown = options.max ? fit(g, text, options.max) : text;
    if (options.turn) {
      g.save();
      g.translate(x, y);
      g.rotate(-Math.PI / 2);
      g.fillText(shown, 0, 0);
      g.restore();
    } else g.fillText(shown, x, y);
  }

  image(image: HTMLCanvasElement | ImageBitmap | OffscreenCanvas, x: number, y: number, width: number, height: number): void {
    this.g.imageSmoothingEnabled = true;
    this.g.drawImage(image, x, y, width, height);
  }

  clip(x: number, y: number, width: number, height: number, draw: () => void): void {
    this.g.save();
    this.g.beginPath();
    this.g.rect(x, y, width, height);
    this.g.clip();
    draw();
    this.g.restore();
  }
}

function fit(g: CanvasRenderingContext2D, text: string, most: number): string {
  if (g.measureText(text).width <= most) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (g.measureText(`${text.slice(0, middle)}…`).width <= most) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}

const xml = (text: string) =>
  // XML knows no other control characters, not even as references.
  text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const f = (value: number) => String(Math.round(value * 100) / 100);

export class SvgPainter implements Painter {
  private parts: string[] = [];
  private clips = 0;
  constructor(
    readonly width: number,
    readonly height: number,
    private readonly ground: string,
  ) {}

  line(points: ArrayLike<number>, stroke: Stroke): void {
    let d = '';
    let open = false;
    for (let i = 0; i + 1 < points.length; i += 2) {
      const [x, y] = [points[i]!, points[i + 1]!];
      if (Number.isNaN(x) || Number.isNaN(y)) open = false;
      else {
        d += `${open ? 'L' : 'M'}${f(x)} ${f(y)}`;
        open = true;
      }
    }
    if (!d) return;
    const dash = stroke.dash?.length ? ` stroke-dasharray="${stroke.dash.join(' ')}"` : '';
    const alpha = stroke.alpha !== undefined && stroke.alpha < 1 ? ` opacity="${f(stroke.alpha)}"` : '';
    this.parts.push(`<path d="${d}" fill="none" stroke="${xml(stroke.color)}" stroke-width="${stroke.width ?? 1}" stroke-linejoin="round"${dash}${alpha}/>`);
  }

  rect(x: number, y: number, width: number, height: number, color: string, alpha = 1): void {
    this.parts.push(`<rect x="${f(x)}" y="${f(y)}" width="${f(width)}" height="${f(height)}" fill="${xml(color)}"${alpha < 1 ? ` opacity="${alpha}"` : ''}/>`);
  }

  mark(kind: MarkKind, x: number, y: number, size: number, color: string, alpha = 1): void {
    const opacity = alpha < 1 ? ` opacity="${f(alpha)}"` : '';
    const fill = `fill="${xml(color)}"${opacity}`;
    const stroke = `fill="none" stroke="${xml(color)}" stroke-width="1.6"${opacity}`;
    if (kind === 'dot') this.parts.push(`<circle cx="${f(x)}" cy="${f(y)}" r="${f(size)}" ${fill}/>`);
    else if (kind === 'ring') this.parts.push(`<circle cx="${f(x)}" cy="${f(y)}" r="${f(size)}" ${stroke}/>`);
    else if (kind === 'square') this.parts.push(`<rect x="${f(x - size)}" y="${f(y - size)}" width="${f(2 * size)}" height="${f(2 * size)}" ${fill}/>`);
    else if (kind === 'triangle') this.parts.push(`<path d="M${f(x)} ${f(y - size * 1.2)}L${f(x + size * 1.1)} ${f(y + size)}L${f(x - size * 1.1)} ${f(y + size)}Z" ${fill}/>`);
    else if (kind === 'bar') this.parts.push(`<path d="M${f(x - size * 1.6)} ${f(y)}L${f(x + size * 1.6)} ${f(y)}" ${stroke}/>`);
    else this.parts.push(`<path d="M${f(x - size)} ${f(y - size)}L${f(x + size)} ${f(y + size)}M${f(x + size)} ${f(y - size)}L${f(x - size)} ${f(y + size)}" ${stroke}/>`);
  }

  text(text: string, x: number, y: number, color: string, options: TextOptions = {}): void {
    const size = options.size ?? 11.5;
    const most = options.max ? Math.max(1, Math.floor(options.max / (size * 0.52))) : Infinity;
    const shown = text.length > most ? `${text.slice(0, most - 1)}…` : text;
    const down = options.middle ? y + size * 0.35 : y;
    const turn = options.turn ? ` transform="rotate(-90 ${f(x)} ${f(y)})"` : '';
    this.parts.push(
      `<text x="${f(x)}" y="${f(down)}" fill="${xml(color)}" font-size="${size}" text-anchor="${options.anchor ?? 'start'}"${options.bold ? ' font-weight="650"' : ''}${turn}>${xml(shown)}</text>`,
    );
  }

  image(image: HTMLCanvasElement | ImageBitmap | OffscreenCanvas, x: number, y: number, width: number, height: number): void {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext('2d')?.drawImage(image, 0, 0);
    this.parts.push(`<image x="${f(x)}" y="${f(y)}" width="${f(width)}" height="${f(height)}" href="${canvas.toDataURL('image/png')}"/>`);
  }

  clip(x: number, y: number, width: number, height: number, draw: () => void): void {
    const id = `clip${this.clips++}`;
    this.parts.push(`<clipPath id="${id}"><rect x="${f(x)}" y="${f(y)}" width="${f(width)}" height="${f(height)}"/></clipPath><g clip-path="url(#${id})">`);
    draw();
    this.parts.push('</g>');
  }

  finish(title: string): string {
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${f(this.width)} ${f(this.height)}" width="${f(this.width)}" height="${f(this.height)}" font-family='${FONT}'><title>${xml(title)}</title><rect width="100%" height="100%" fill="${xml(this.ground)}"/>${this.parts.join('')}</svg>\n`;
  }
}
