// 100,000 trials: time to the first view, answers of the server, the nearest curve under the pointer, memory of the tab.
// Budgets are those of a quiet machine; a busy one is told by a fixed canvas scene, and they grow with it.
// Needs the example: cargo build --release --example studio_seed (SEED names it, TRIALS and POINTS its size).
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Project, browser, check, open, picture, scene, until } from './kit.mjs';

const SEED = process.env.SEED ?? ['release', 'debug'].map((profile) => new URL(`../../target/${profile}/examples/studio_seed`, import.meta.url).pathname).find(existsSync);
if (!SEED) throw new Error('studio_seed is missing: cargo build --example studio_seed');
const [trials, points] = [Number(process.env.TRIALS ?? 100_000), Number(process.env.POINTS ?? 10)];
/** Code that was not optimised is measured too, but not held to the budgets of code that was. */
const loose = (process.env.OVERDRIVE ?? '').includes('release') ? 1 : 10;

const project = new Project();
const started = await browser({ args: ['--enable-precise-memory-info', '--js-flags=--expose-gc'] });
try {
  let begun = Date.now();
  execFileSync(SEED, [join(project.folder, '.overdrive'), String(trials), String(points)]);
  console.log(`  filled in ${Date.now() - begun} ms`);
  const studio = await project.studio('--port', '0');
  const page = await open(started, studio);
  await page.getByRole('heading', { name: 'Sweeps' }).waitFor();
  const slow = await scene(page);

  // First view in a fresh tab, before anything was asked.
  const tab = await page.context().newPage();
  begun = Date.now();
  await tab.goto(`${studio.base}/sweeps/HD_large`);
  await tab.locator('.answers .big').first().waitFor();
  await tab.locator('tbody tr').nth(3).waitFor();
  const first = Date.now() - begun;
  console.log(`  first view after ${first} ms`);
  check(`first view of ${trials} trials`, first <= 1000 * slow * loose, `${first} ms`);
  await tab.getByText(/curves, density of all curves/).waitFor();
  const chart = tab.getByRole('img', { name: /learning curves/ });
  await chart.scrollIntoViewIfNeeded();
  const ink = () =>
    chart.locator('canvas').first().evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let drawn = 0;
      for (let i = 3; i < data.length; i += 4) if (data[i] > 0) drawn += 1;
      return drawn / (canvas.width * canvas.height);
    });
  await until('the density', async () => (await ink()) > 0.1);
  console.log(`  density of all curves after ${Date.now() - begun} ms`);
  await picture(tab, 'sweep-100000-light');

  const timed = (path) =>
    page.evaluate(async (address) => {
      const times = [];
      let size = 0;
      for (let i = 0; i < 5; i++) {
        const begun = performance.now();
        const response = await fetch(`/api/v1/sweeps/HD_large/${address}`);
        size = (await response.arrayBuffer()).byteLength;
        if (!response.ok) throw new Error(`${address}: ${response.status}`);
        times.push(performance.now() - begun);
      }
      return { first: times[0], best: Math.min(...times), size };
    }, path);
  const far = Math.floor(trials / 2);
  for (const [path, budget, most] of [
    ['summary', 30, 100_000],
    [`trials?limit=500&offset=${far}`, 150, Infinity],
    ['trials?limit=500&order=best', 150, Infinity],
    [`trials?limit=500&order=best&offset=${far}`, 150, Infinity],
    ['trials?limit=500&where=state:failed%20lr%3C0.01', 150, Infinity],
    ['trials?limit=500&where=%22out%20of%20memory%22', 150, Infinity],
    ['points', 150, Infinity],
    ['density?w=1200&h=400', 150, Infinity],
    [`nearest?x=${Math.floor(points / 2)}&y=0.8`, 60, Infinity],
    ['importance', 6000, Infinity],
  ]) {
    const { first: cold, best, size } = await timed(path);
    console.log(`  ${path}: ${best.toFixed(0)} ms (first ${cold.toFixed(0)} ms), ${(size / 1024).toFixed(0)} KiB`);
    check(`${path} within its budget`, best <= budget * slow * loose && size <= most, `${best} ms of ${budget}, ${size} bytes of ${most}`);
  }

  // The curve under the pointer, of all of them.
  const box = await chart.boundingBox();
  await tab.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.35);
  await tab.mouse.move(box.x + box.width * 0.52, box.y + box.height * 0.35);
  await tab.locator('.tip').waitFor();
  check('the nearest of all curves is under the pointer', /Trial \d+/.test(await tab.locator('.tip').innerText()));
  await tab.mouse.click(box.x + box.width * 0.52, box.y + box.height * 0.35);
  await tab.waitForURL(/trials\/\d+$/);
  check('it opens', true);

  // Through the table, to the end.
  await tab.goto(`${studio.base}/sweeps/HD_large/trials`);
  await tab.getByText(`${trials.toLocaleString('en')} trials`).waitFor();
  const table = tab.locator('.trial-table');
  for (let part = 1; part <= 20; part++) {
    await table.evaluate((element, share) => (element.scrollTop = element.scrollHeight * share), part / 20);
    await tab.waitForTimeout(60);
  }
  await tab.getByRole('link', { name: String(trials - 1), exact: true }).waitFor();
  check(`the last of ${trials} rows is reached`, true);
  const rows = await tab.locator('tbody tr').count();
  check('only what is seen is in the document', rows < 120, String(rows));
  await tab.keyboard.press('/');
  begun = Date.now();
  await tab.keyboard.type('state:failed');
  await until('the search', async () => (await tab.locator('tbody .state.failed').count()) > 3 && (await tab.locator('tbody .state:not(.failed)').count()) === 0);
  console.log(`  a search is shown after ${Date.now() - begun} ms`);
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
