// What drawing costs: processor time of the browser's whole process tree per frame, as a ratio to a fixed canvas scene drawn in the same run. Wall
// time says nothing on a busy machine; processor time does.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { until, Project, browser, check, open } from './kit.mjs';

const SEED = process.env.SEED ?? ['release', 'debug'].map((profile) => new URL(`../../target/${profile}/examples/studio_seed`, import.meta.url).pathname).find(existsSync);
if (!SEED) throw new Error('studio_seed is missing: cargo build --example studio_seed');
const trials = Number(process.env.TRIALS ?? 10_000);
const points = Number(process.env.POINTS ?? 100);
const FRAMES = 60;

/** Clock ticks of a process and all its children, ended ones too. */
function ticks(root) {
  const children = new Map();
  const times = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const part = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      times.set(Number(name), Number(part[11]) + Number(part[12]) + Number(part[13]) + Number(part[14]));
      const parent = Number(part[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It ended while one looked.
    }
  }
  const sum = (pid) => (times.get(pid) ?? 0) + (children.get(pid) ?? []).reduce((total, child) => total + sum(child), 0);
  return sum(root);
}

/** The browser's first process: the child of this one that is not the studio. */
function root(known) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !known.has(Number(name)))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid;
      } catch {
        return false;
      }
    });
}

const project = new Project();
execFileSync(SEED, [join(project.folder, '.overdrive'), String(trials), String(points)]);
const studio = await project.studio('--port', '0');
const known = new Set(project.children.map((child) => child.pid));
const started = await browser();
try {
  const processes = root(known);
  const used = () => processes.reduce((sum, pid) => sum + ticks(pid), 0) * 10;
  /** Share of a core that the browser spends on nothing. */
  let idle = 0;
  /** Milliseconds of processor time of some work, less what the browser spends on nothing meanwhile. */
  const cost = async (work) => {
    const [before, begun] = [used(), performance.now()];
    await work();
    return Math.max(0, used() - before - idle * (performance.now() - begun));
  };
  /** Waits until the browser does nothing: how long that takes depends on the machine. */
  const quiet = () =>
    until('rest', async () => {
      const before = used();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return used() - before <= 80;
    });
  const page = await open(started, studio);
  await page.getByRole('heading', { name: 'Sweeps' }).waitFor();

  const SCENE = `new Promise((done) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [1200, 400];
    const g = canvas.getContext('2d', { willReadFrequently: true });
    let frame = 0;
    const draw = () => {
      g.clearRect(0, 0, 1200, 400);
      for (let line = 0; line < 200; line++) {
        g.beginPath();
        for (let i = 0; i < 200; i++) g.lineTo(i * 6, 200 + 190 * Math.sin(i / 9 + line + frame));
        g.stroke();
      }
      g.getImageData(0, 0, 1, 1);
      if (++frame < ${FRAMES}) requestAnimationFrame(draw);
      else done(frame);
    };
    requestAnimationFrame(draw);
  })`;
  const session = await page.context().newCDPSession(page);
  const scene = async () => {
    const spent = await cost(() => session.send('Runtime.evaluate', { expression: SCENE, awaitPromise: true }));
    return spent / FRAMES;
  };
  await scene();
  const unit = await scene();
  console.log(`  one frame of the scene: ${unit.toFixed(1)} ms of processor time`);

  await page.goto(`${studio.base}/sweeps/HD_large/curves`);
  await page.getByText(/curves, density of all curves/).waitFor();
  const chart = page.getByRole('img', { name: /learning curves/ });
  await quiet();
  await page.mouse.move(5, 5);
  await quiet();
  const resting = await cost(() => page.waitForTimeout(3000));
  idle = resting / 3000;
  console.log(`  at rest: ${(idle * 100).toFixed(1)} % of a core`);
  const box = await chart.boundingBox();
  // Moving over 10,000 curves.
  const hover = await cost(async () => {
    for (let i = 0; i < FRAMES; i++) await page.mouse.move(box.x + 80 + ((box.width - 120) * i) / FRAMES, box.y + box.height * (0.3 + 0.2 * Math.sin(i / 7)));
  });
  for (let i = 1; i < 20 && !(await page.locator('.tip').count()); i++) await page.mouse.move(box.x + box.width * 0.6, box.y + (box.height * i) / 20);
  await until('a curve is under the pointer', async () => (await page.locator('.tip').count()) === 1);
  const perHover = hover / FRAMES;
  console.log(`  hover over ${trials} curves of ${points}: ${perHover.toFixed(1)} ms per frame, ${(perHover / unit).toFixed(2)} scenes`);
  // Another window: the whole density anew, in the worker.
  const zooms = 4;
  let turn = 0;
  const redraw = await cost(async () => {
    for (let i = 0; i < zooms; i++) {
      turn += 1;
      await page.evaluate((high) => {
        const next = new URL(location.href);
        next.searchParams.set('zoom', `0,${99 - high},0.1,${1 + high / 50}`);
        history.pushState(null, '', next);
        dispatchEvent(new PopStateEvent('popstate'));
      }, turn);
      await page.waitForTimeout(200);
      await quiet();
    }
  });
  const perRedraw = redraw / zooms;
  console.log(`  a full redraw of ${trials} curves: ${perRedraw.toFixed(0)} ms, ${(perRedraw / unit).toFixed(1)} scenes`);
  const long = await page.evaluate(
    () =>
      new Promise((done) => {
        const tasks = [];
        new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask', buffered: true });
        setTimeout(() => done(tasks), 300);
      }),
  );
  console.log(`  tasks above 50 ms on the page: ${long.length}, the longest ${Math.max(0, ...long).toFixed(0)} ms`);
  check('hover costs less than a scene of 200 lines', perHover <= unit * 1.5, `${perHover} ms, a scene ${unit} ms`);
  check('a full redraw costs less than 30 scenes', perRedraw <= unit * 30, `${perRedraw} ms, a scene ${unit} ms`);
  check('nothing is spent at rest', resting <= 600, `${resting} ms in 3 s`);
} finally {
  await started.close();
  project.end();
}
