// 100,000 trials: time to the first view, answers of the server, memory of the tab, no lost frames; as ratios to a fixed canvas scene.
// Needs the example: cargo build --release --example studio_seed (SEED names it, TRIALS and POINTS its size).
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Project, browser, check, open } from './kit.mjs';

const SEED = process.env.SEED ?? ['release', 'debug'].map((profile) => new URL(`../../target/${profile}/examples/studio_seed`, import.meta.url).pathname).find(existsSync);
if (!SEED) throw new Error('studio_seed is missing: cargo build --example studio_seed');
const [trials, points] = [Number(process.env.TRIALS ?? 100_000), Number(process.env.POINTS ?? 10)];
/** Budgets of a quiet machine; a busy one is told by the scene. */
const SCENE_MS = 60;

const project = new Project();
const started = await browser({ args: ['--enable-precise-memory-info', '--js-flags=--expose-gc'] });
try {
  let begun = Date.now();
  execFileSync(SEED, [join(project.folder, '.overdrive'), String(trials), String(points)]);
  console.log(`  filled in ${Date.now() - begun} ms`);
  const studio = await project.studio('--port', '0');
  const page = await open(started, studio);
  await page.getByRole('heading', { name: 'Sweeps' }).waitFor();

  // The yardstick: a fixed scene of 200 lines of 200 points on a canvas.
  const scene = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [1200, 400];
    const g = canvas.getContext('2d', { willReadFrequently: true });
    const once = () => {
      const begun = performance.now();
      for (let line = 0; line < 200; line++) {
        g.beginPath();
        for (let i = 0; i < 200; i++) g.lineTo(i * 6, 200 + 190 * Math.sin(i / 9 + line));
        g.stroke();
      }
      g.getImageData(0, 0, 1, 1);
      return performance.now() - begun;
    };
    once();
    return Math.min(once(), once(), once());
  });
  const slow = Math.max(1, scene / SCENE_MS);
  console.log(`  scene ${scene.toFixed(0)} ms: this machine counts as ${slow.toFixed(1)} times slower`);

  const timed = (path) =>
    page.evaluate(async (address) => {
      const times = [];
      let size = 0;
      for (let i = 0; i < 5; i++) {
        const begun = performance.now();
        const response = await fetch(`/api/v1/sweeps/HD_large/${address}`);
        size = (await response.arrayBuffer()).byteLength;
        times.push(performance.now() - begun);
      }
      return { first: times[0], best: Math.min(...times), size };
    }, path);
  for (const [path, budget, most] of [
    ['summary', 30, 100_000],
    ['trials?limit=500&cursor=50000', 150, Infinity],
    ['trials?limit=500&order=best', 150, Infinity],
    ['trials?limit=500&where=state:failed%20lr%3C0.01', 1500, Infinity],
    ['points', 3000, Infinity],
    ['density?w=1200&h=400', 5000, Infinity],
    ['importance', 6000, Infinity],
  ]) {
    const { first, best, size } = await timed(path);
    console.log(`  ${path}: ${best.toFixed(0)} ms (first ${first.toFixed(0)} ms), ${(size / 1024).toFixed(0)} KiB`);
    check(`${path} within its budget`, best <= budget * slow * 3 && size <= most, `${best} ms of ${budget}, ${size} bytes of ${most}`);
  }

  // First view in a fresh tab.
  const tab = await page.context().newPage();
  begun = Date.now();
  await tab.goto(`${studio.base}/sweeps/HD_large`);
  await tab.locator('.answers .big').first().waitFor();
  await tab.locator('tbody tr').nth(3).waitFor();
  const first = Date.now() - begun;
  console.log(`  first view after ${first} ms`);
  check('first view of 100,000 trials', first <= 1000 * slow * 2, `${first} ms`);
  await tab.getByText(/curves, density of all curves/).waitFor();
  console.log(`  curves after ${Date.now() - begun} ms`);

  // Through the table, to the end.
  await tab.goto(`${studio.base}/sweeps/HD_large/trials`);
  await tab.getByText(`${trials.toLocaleString('en')} trials`).waitFor();
  const box = tab.locator('.trial-table');
  for (let part = 1; part <= 20; part++) {
    await box.evaluate((element, share) => (element.scrollTop = element.scrollHeight * share), part / 20);
    await tab.waitForTimeout(60);
  }
  await tab.getByRole('link', { name: String(trials - 1), exact: true }).waitFor();
  check('the last of 100,000 rows is reached', true);
  const rows = await tab.locator('tbody tr').count();
  check('only what is seen is in the document', rows < 120, String(rows));
  await tab.goto(`${studio.base}/sweeps/HD_large/params`);
  await tab.getByText('in the brush').waitFor();
  await tab.waitForTimeout(1500);

  const session = await tab.context().newCDPSession(tab);
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await (await session.send('Performance.enable'), session.send('Performance.getMetrics'));
  const heap = metrics.find((metric) => metric.name === 'JSHeapUsedSize').value / 2 ** 20;
  console.log(`  heap ${heap.toFixed(0)} MiB`);
  check('memory of the tab', heap < 300, `${heap} MiB`);
} finally {
  await started.close();
  project.end();
}
