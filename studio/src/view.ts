// One sweep as it is looked at: a snapshot, kept fresh by the stream, and the larger parts on demand.
import { signal } from '@preact/signals';
import { get, getBytes, place } from './api';
import { CurveSet, type Far, type Near, readDensity } from './charts/curves';
import { rgb } from './charts/raster';
import { theme } from './charts/theme';
import { type Stream, follow, throttle } from './live';
import type { EventRow, Importances, MetricSummary, Points, Summary, SweepDetail } from './types';

/** Above so many trials the server draws the curves. */
const CURVES_MAX = 20_000;
const SUMMARY_MS = 1000;
const POINTS_MS = 3000;
const IMPORTANCE_MS = 15_000;

export class SweepView {
  readonly summary = signal<Summary | null>(null);
  readonly detail = signal<SweepDetail | null>(null);
  readonly points = signal<Points | null>(null);
  readonly importance = signal<Importances | null>(null);
  readonly metrics = signal<MetricSummary[]>([]);
  readonly error = signal<unknown>(null);
  readonly curves = signal<{ set: CurveSet; far: Far | null; metric: string; loaded: boolean } | null>(null);
  /** Raised when curves grow. */
  readonly curvesVersion = signal(0);
  /** Raised when rows of trials may have changed. */
  readonly rowsVersion = signal(0);
  readonly updated = signal(Date.now());

  private stream: Stream | null = null;
  private readonly stop = new AbortController();
  private wantPoints = false;
  private wantImportance = false;
  private curveMetric: string | null = null;
  private beat = 0;

  private readonly refresh = throttle(SUMMARY_MS, async () => {
    await this.load();
    this.rowsVersion.value += 1;
  });
  private readonly refreshPoints = throttle(POINTS_MS, () => this.loadPoints());
  private readonly refreshImportance = throttle(IMPORTANCE_MS, () => this.loadImportance());

  /** Where the server counts, what it counted grows old. */
  private readonly refreshCurves = throttle(POINTS_MS, async () => {
    if (this.curveMetric !== null) await this.loadCurves(this.curveMetric);
  });

  constructor(readonly id: string) {
    void this.start();
  }

  private get base(): string {
    return place`/sweeps/${this.id}`;
  }

  private async start(): Promise<void> {
    await this.load();
    if (this.stop.signal.aborted) return;
    void this.loadDetail();
    this.stream = follow(this.id, this.summary.value?.position ?? null, (rows) => this.changed(rows), () => this.reload());
  }

  close(): void {
    this.stop.abort();
    this.stream?.close();
    this.refresh.stop();
    this.refreshPoints.stop();
    this.refreshImportance.stop();
    this.refreshCurves.stop();
    window.clearTimeout(this.beat);
  }

  /** Everything again: after a break in the stream, or when the user asks. */
  reload(): void {
    this.refresh.now();
    void this.loadDetail();
    if (this.wantPoints) this.refreshPoints.now();
    if (this.wantImportance) this.refreshImportance.now();
    if (this.curveMetric !== null) void this.loadCurves(this.curveMetric);
  }

  private async load(): Promise<void> {
    try {
      this.summary.value = await get<Summary>(`${this.base}/summary`, this.stop.signal);
      this.updated.value = Date.now();
      this.error.value = null;
    } catch (error) {
      if (!this.stop.signal.aborted) this.error.value = error;
    }
  }

  private async loadDetail(): Promise<void> {
    try {
      this.detail.value = await get<SweepDetail>(this.base, this.stop.signal);
    } catch {
      // The summary shows what is wrong.
    }
  }

  needPoints(): void {
    if (this.wantPoints) return;
    this.wantPoints = true;
    void this.loadPoints();
  }

  private async loadPoints(): Promise<void> {
    try {
      this.points.value = await get<Points>(`${this.base}/points`, this.stop.signal);
    } catch (error) {
      if (!this.stop.signal.aborted && !this.points.value) this.error.value = error;
    }
  }

  needImportance(): void {
    if (this.wantImportance) return;
    this.wantImportance = true;
    void this.loadImportance();
  }

  private async loadImportance(): Promise<void> {
    try {
      this.importance.value = await get<Importances>(`${this.base}/importance`, this.stop.signal);
    } catch (error) {
      if (!this.stop.signal.aborted && !this.importance.value) this.error.value = error;
    }
  }

  async needMetrics(): Promise<void> {
    try {
      this.metrics.value = (await get<{ items: MetricSummary[] }>(`${this.base}/metrics`, this.stop.signal)).items;
    } catch {
      // The primary metric is known without the list.
    }
  }

  needCurves(metric: string): void {
    if (this.curveMetric === metric) return;
    this.curveMetric = metric;
    this.curves.value = null;
    void this.loadCurves(metric);
  }

  private async loadCurves(metric: string): Promise<void> {
    const count = Object.values(this.summary.value?.sweep.trials ?? {}).reduce((sum, n) => sum + n, 0);
    const query = `metric=${encodeURIComponent(metric)}`;
    try {
      if (count > CURVES_MAX) {
        const best = this.summary.value?.sweep.best?.trial;
        const names = ['running', ...(best === undefined ? [] : [best]), ...this.shown].join(',');
        const set = CurveSet.read(await getBytes(`${this.base}/curves?${query}&trials=${names}`, this.stop.signal));
        if (this.curveMetric !== metric) return;
        this.curves.value = { set, far: this.far(query, count), metric, loaded: true };
      } else {
        const set = CurveSet.read(await getBytes(`${this.base}/curves?${query}`, this.stop.signal));
        if (this.curveMetric !== metric) return;
        this.curves.value = { set, far: null, metric, loaded: true };
      }
      this.curvesVersion.value += 1;
    } catch (error) {
      if (!this.stop.signal.aborted && this.curveMetric === metric) this.error.value = error;
    }
  }

  /** Trials whose curves are shown by name. */
  shown: number[] = [];

  private far(query: string, count: number): Far {
    return {
      count,
      picture: async (window, logY, width, height, every) => {
        const edges = window ? window.map((value, i) => `&${['x0', 'x1', 'y0', 'y1'][i]}=${value}`).join('') : '';
        const bytes = await getBytes(`${this.base}/density?${query}${edges}&w=${width}&h=${height}&log=${logY}&every=${every}`, this.stop.signal);
        return readDensity(bytes, rgb(theme().muted));
      },
      nearest: (x, y, logY) => get<Near>(`${this.base}/nearest?${query}&x=${x}&y=${y}&log=${logY}`, this.stop.signal),
    };
  }

  private changed(rows: EventRow[]): void {
    const curves = this.curves.value;
    let grown = false;
    let gap = false;
    let ended = false;
    for (const row of rows) {
      const { data } = row;
      if (row.type === 'observed' && curves && data.metric === curves.metric && (!curves.far || curves.set.place.has(row.trial ?? -1)) && row.trial !== null) {
        const value = typeof data.value === 'number' ? data.value : NaN;
        if (!curves.set.report(row.trial, Number(data.seq), value)) gap = true;
        grown = true;
      } else if (row.type === 'trial_state' && row.trial !== null) {
        ended = true;
        const code = { Completed: 1, Canceled: 2, Failed: 3 }[String(data.state)];
        const at = curves?.set.place.get(row.trial);
        if (code !== undefined && curves && at !== undefined) {
          curves.set.state[at] = code;
          grown = true;
        }
      }
    }
    this.refresh.now();
    if (ended && curves?.far) this.refreshCurves.now();
    if (ended && this.wantPoints) this.refreshPoints.now();
    if (ended && this.wantImportance) this.refreshImportance.now();
    if (gap && this.curveMetric !== null) void this.loadCurves(this.curveMetric);
    else if (grown && !this.beat) {
      this.beat = window.setTimeout(() => {
        this.beat = 0;
        this.curvesVersion.value += 1;
      }, 250);
    }
  }
}
