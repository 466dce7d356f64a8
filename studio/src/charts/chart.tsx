// The frame around every chart: size, redraw, hover, keyboard, menu, full screen, table, files.
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { number, printable } from '../format';
import { useKeys } from '../keys';
import { m } from '../messages';
import { Menu, csvCell, save } from '../parts/ui';
import { isDark } from '../settings';
import { CanvasPainter, type Painter, SvgPainter } from './painter';
import { type Theme, theme } from './theme';

/** What lies under the pointer or the keyboard. */
export interface Probe {
  x: number;
  y: number;
  title: string;
  rows: [string, string][];
  /** What is drawn over the chart while it is pointed at. */
  over?: (painter: Painter, theme: Theme) => void;
  open?: () => void;
  key?: string;
}

export interface Table {
  columns: string[];
  rows: unknown[][];
}

export interface Model {
  /** File name and title. */
  name: string;
  /** The chart in words. */
  caption: string;
  /** Whether `seek` has to be asked where `probe` finds nothing. */
  readonly far?: unknown;
  draw(painter: Painter, theme: Theme): void;
  probe?(x: number, y: number): Probe | null;
  /** As `probe`, where somebody else has to be asked. */
  seek?(x: number, y: number): Promise<Probe | null>;
  /** The value beside another, for arrow keys. */
  walk?(from: Probe | null, dx: number, dy: number): Probe | null;
  /** A drag from one place to another. */
  drag?(x0: number, y0: number, x1: number, y1: number): void;
  /** What a drag looks like so far. */
  dragging?(painter: Painter, theme: Theme, x0: number, y0: number, x1: number, y1: number): void;
  press?(x: number, y: number): void;
  table(): Table;
}

const TABLE_ROWS = 1000;

export function Chart({ model, height, toolbar, version }: { model: Model; height: number; toolbar?: ComponentChildren; version: unknown }) {
  const box = useRef<HTMLDivElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const size = useSignal<[number, number]>([0, 0]);
  const probe = useSignal<Probe | null>(null);
  const asTable = useSignal(false);
  const full = useSignal(false);
  const words = useSignal('');
  const drag = useRef<[number, number, number, number] | null>(null);
  const seeking = useRef<{ busy: boolean; next: [number, number] | null }>({ busy: false, next: null });
  const latest = useRef(model);
  latest.current = model;
  const tall = full.value ? Math.max(240, window.innerHeight - 150) : height;
  const dark = isDark();

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => {
      const width = Math.floor(element.clientWidth);
      if (width !== size.value[0] || tall !== size.value[1]) size.value = [width, tall];
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    return () => watch.disconnect();
  }, [tall, asTable.value]);

  const prepare = (canvas: HTMLCanvasElement | null): Painter | null => {
    const [width, high] = size.value;
    if (!canvas || width < 20) return null;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(high * ratio);
    }
    const g = canvas.getContext('2d');
    if (!g) return null;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, high);
    return new CanvasPainter(g, width, high);
  };

  useEffect(() => {
    const frame = requestAnimationFrame(() => {
      const painter = prepare(base.current);
      if (painter) latest.current.draw(painter, theme());
      drawOver();
    });
    return () => cancelAnimationFrame(frame);
  }, [version, size.value[0], size.value[1], dark, asTable.value]);

  const drawOver = () => {
    const painter = prepare(over.current);
    if (!painter) return;
    const dragged = drag.current;
    if (dragged && latest.current.dragging) latest.current.dragging(painter, theme(), ...dragged);
    else probe.value?.over?.(painter, theme());
  };

  const show = (next: Probe | null) => {
    if (next?.key !== undefined && next.key === probe.value?.key) return;
    probe.value = next;
    drawOver();
  };

  const place = (event: PointerEvent): [number, number] => {
    const rect = over.current!.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  };

  // One question at a time; of those that come meanwhile, the last.
  const seek = async (x: number, y: number) => {
    const now = seeking.current;
    now.next = [x, y];
    if (now.busy) return;
    now.busy = true;
    while (now.next) {
      const [px, py] = now.next;
      now.next = null;
      const found = await latest.current.seek?.(px, py).catch(() => null);
      if (!now.next && over.current?.parentElement?.matches(':hover')) show(found ?? null);
    }
    now.busy = false;
  };

  // The live region is told at most once a second.
  const told = useRef(0);
  const tell = (next: Probe | null) => {
    window.clearTimeout(told.current);
    if (!next) return;
    told.current = window.setTimeout(() => {
      words.value = `${next.title}: ${next.rows.map(([name, value]) => `${name} ${value}`).join(', ')}`;
    }, 300);
  };

  const keys = (event: KeyboardEvent) => {
    const ways: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const way = ways[event.key];
    if (way && latest.current.walk) {
      event.preventDefault();
      const next = latest.current.walk(probe.value, ...way);
      show(next);
      tell(next);
    } else if (event.key === 'Enter' && probe.value?.open) {
      event.preventDefault();
      probe.value.open();
    } else if (event.key === 'Escape') {
      if (probe.value || full.value) event.preventDefault();
      show(null);
      full.value = false;
    }
  };

  const here = useRef<HTMLElement>(null);
  useKeys({
    f: () => here.current?.matches(':hover, :focus-within') === true && void (full.value = !full.value),
    ...(full.value && { Escape: () => void (full.value = false) }),
  });

  const svg = () => {
    const painter = new SvgPainter(size.value[0] || 800, size.value[1] || 400, theme().ground);
    latest.current.draw(painter, theme());
    return painter.finish(`${latest.current.name}: ${latest.current.caption}`);
  };
  const file = (suffix: string) => `${latest.current.name.replace(/[^A-Za-z0-9_.-]+/g, '-')}.${suffix}`;
  const png = () => {
    const canvas = document.createElement('canvas');
    const [width, high] = [size.value[0] || 800, size.value[1] || 400];
    [canvas.width, canvas.height] = [width * 2, high * 2];
    const g = canvas.getContext('2d');
    if (!g) return;
    g.scale(2, 2);
    g.fillStyle = theme().ground;
    g.fillRect(0, 0, width, high);
    latest.current.draw(new CanvasPainter(g, width, high), theme());
    canvas.toBlob((blob) => blob && save(file('png'), blob, 'image/png'), 'image/png');
  };
  const csv = () => {
    const { columns, rows } = latest.current.table();
    save(file('csv'), [columns, ...rows].map((row) => row.map(csvCell).join(',')).join('\r\n') + '\r\n', 'text/csv;charset=utf-8');
  };

  const menu = (
    <Menu className="chart-menu" label={`${m.chart.menu}: ${model.name}`} text="⋯">
      <button type="button" onClick={() => (asTable.value = !asTable.value)}>{asTable.value ? m.chart.chart : m.chart.table}</button>
      <button type="button" onClick={() => save(file('svg'), svg(), 'image/svg+xml')}>{m.chart.svg}</button>
      <button type="button" onClick={png}>{m.chart.png}</button>
      <button type="button" onClick={csv}>{m.chart.csv}</button>
      <button type="button" onClick={() => (full.value = !full.value)}>{full.value ? m.chart.leave : m.chart.full}</button>
    </Menu>
  );

  const now = probe.value;
  return (
    <figure ref={here} class={`chart ${full.value ? 'full' : ''}`}>
      {menu}
      {toolbar && <div class="toolbar" style={{ paddingRight: '44px', minHeight: '28px' }}>{toolbar}</div>}
      {!toolbar && <div style={{ height: '22px' }} />}
      {asTable.value ? (
        <TableView table={model.table()} name={model.name} />
      ) : (
        <div
          ref={box}
          class="surface"
          style={{ height: `${tall}px` }}
          tabIndex={0}
          role="img"
          aria-label={`${model.name}: ${model.caption}. ${model.walk ? m.chart.focus : ''}`}
          onKeyDown={keys}
          onBlur={() => show(null)}
          onPointerMove={(event) => {
            const [x, y] = place(event);
            if (drag.current) {
              drag.current = [drag.current[0], drag.current[1], x, y];
              probe.value = null;
              drawOver();
            } else if (latest.current.far) void seek(x, y);
            else show(latest.current.probe?.(x, y) ?? null);
          }}
          onPointerLeave={() => {
            if (!drag.current) show(null);
          }}
          onPointerDown={(event) => {
            if (event.button !== 0 || !latest.current.drag) return;
            const [x, y] = place(event);
            drag.current = [x, y, x, y];
            (event.currentTarget as Element).setPointerCapture(event.pointerId);
          }}
          onPointerUp={(event) => {
            const dragged = drag.current;
            drag.current = null;
            const [x, y] = place(event);
            if (dragged && Math.hypot(x - dragged[0], y - dragged[1]) > 6) latest.current.drag?.(dragged[0], dragged[1], x, y);
            else if (latest.current.press) latest.current.press(x, y);
            else (latest.current.far ? probe.value : latest.current.probe?.(x, y))?.open?.();
            drawOver();
          }}
          onPointerCancel={() => {
            drag.current = null;
            drawOver();
          }}
        >
          <canvas ref={base} aria-hidden="true" />
          <canvas ref={over} class="overlay" aria-hidden="true" />
          {now && (
            <div
              class="tip"
              style={{
                left: `${Math.min(now.x + 14, Math.max(0, size.value[0] - 220))}px`,
                top: `${Math.max(0, now.y > size.value[1] * 0.6 ? now.y - 24 - 18 * (now.rows.length + 1) : now.y + 12)}px`,
              }}
            >
              <b>{now.title}</b>
              {now.rows.map(([name, value]) => (
                <div key={name}>
                  <span class="dim">{name}</span>
                  <span class="num">{value}</span>
                </div>
              ))}
            </div>
          )}
        </div>
      )}
      <figcaption>{model.caption}</figcaption>
      <div class="visually-hidden" aria-live="polite">{words.value}</div>
    </figure>
  );
}

function TableView({ table, name }: { table: Table; name: string }) {
  return (
    <div class="scroll tall" tabIndex={0} role="region" aria-label={name}>
      <table class="plain">
        <thead>
          <tr>
            {table.columns.map((column) => (
              <th key={column} scope="col">{printable(column)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.slice(0, TABLE_ROWS).map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => (
                <td key={j} class={typeof cell === 'number' ? 'num' : ''} title={typeof cell === 'number' ? String(cell) : undefined}>
                  {number(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {table.rows.length > TABLE_ROWS && <p class="note">{m.loadingOf(String(TABLE_ROWS), String(table.rows.length), 'rows')}</p>}
    </div>
  );
}
