// What the scripts share: a project with a real training script, a real studio, a real browser.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const OVERDRIVE = process.env.OVERDRIVE ?? new URL('../../target/debug/overdrive', import.meta.url).pathname;
const SLOW = Number(process.env.SLOW ?? 1);
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const TRAIN = `
import argparse, math, os, random, sys, time
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float); p.add_argument("--width", type=int); p.add_argument("--drop", type=float)
p.add_argument("--opt"); p.add_argument("--pause", type=float, default=0.02); p.add_argument("--steps", type=int, default=20)
p.add_argument("--gate")
a = p.parse_args()
print("hello", a, flush=True)
if a.opt == "sgd" and a.lr > 0.25: sys.exit("ValueError: loss is nan")
r = random.Random(f"{a.lr}{a.width}{a.drop}")
top = 0.97 - 0.06 * abs(math.log10(a.lr) + 2) - 0.1 * a.drop + 0.003 * math.log2(a.width)
os.makedirs("outputs", exist_ok=True)
open("outputs/table.csv", "w").write('name,value\\na,"1, 2"\\nb,3\\n')
while a.gate and not os.path.exists(a.gate): time.sleep(0.05)
for i in range(a.steps):
    v = top * (1 - math.exp(-(i + 1) / 6)) + r.gauss(0, 0.004)
    print(f"Accuracy: {v:.5f} loss: {1 - v:.5f}", flush=True)
    time.sleep(a.pause)
`;

export function config({ total = 40, at = 3, extra = '' } = {}) {
  return `sampling:
  type: random
  parameter_space:
    - name: --lr
      expression: loguniform
      values: [-9.2, -0.7]
    - name: --width
      expression: choice
      values: [16, 32, 64, 128]
    - name: --drop
      expression: uniform
      values: [0, 0.5]
    - name: --opt
      expression: choice
      values: [adam, sgd]
policy:
  type: BanditPolicy
  evaluation_interval: 1
  delay_evaluation: 4
  slack_factor: 0.1
primary_metric_name: Accuracy
primary_metric_goal: maximize
max_total_runs: ${total}
max_concurrent_runs: ${at}
max_duration_minutes: 60
overdrive:
  seed: 7
${extra}`;
}

/** A folder with a training script, and what was started in it. */
export class Project {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'overdrive-studio-'));
    this.children = [];
    writeFileSync(join(this.folder, 'train.py'), TRAIN);
  }

  write(name, text) {
    writeFileSync(join(this.folder, name), text);
    return join(this.folder, name);
  }

  start(args) {
    const child = spawn(OVERDRIVE, args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    child.words = '';
    child.stdout.on('data', (data) => (child.words += data));
    child.stderr.on('data', (data) => (child.words += data));
    this.children.push(child);
    return child;
  }

  /** Runs a sweep; resolves when it has ended. */
  run(file, script = 'train.py', args = []) {
    const child = this.start(['run', join(this.folder, file), script, '--source-directory', this.folder, '--progress', 'lines', '--environment', 'current', ...args]);
    child.ended = new Promise((resolve) => child.on('exit', resolve));
    return child;
  }

  command(...args) {
    return execFileSync(OVERDRIVE, args, { cwd: this.folder, encoding: 'utf8' });
  }

  async studio(...args) {
    const child = this.start(['studio', '--json', ...args]);
    // The document may come in pieces.
    const { link } = await until('the studio', () => JSON.parse(child.words.slice(child.words.indexOf('{'), child.words.lastIndexOf('}') + 1)));
    child.link = link;
    child.base = new URL(link).origin;
    return child;
  }

  end() {
    for (const child of this.children) if (child.exitCode === null) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Everything waits for this long at most; nothing is asserted about it. A machine that is busy with other things takes its time. */
const PATIENCE = 240_000;

export async function until(what, test, ms = PATIENCE) {
  const begun = Date.now();
  let last;
  while (Date.now() - begun < ms) {
    try {
      last = await test();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not come within ${ms} ms (${last})`);
}

export function check(what, holds, more = '') {
  if (!holds) throw new Error(`${what} ${more}`);
  console.log(`  ok  ${what}`);
}

export async function browser(options = {}) {
  const started = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', ...(options.args ?? [])] });
  return started;
}

/** A page that remembers every complaint of the browser. */
export async function open(started, studio, options = {}) {
  const context = await started.newContext({ viewport: { width: 1400, height: 1000 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  if (process.env.DIST) {
    // `DIST=studio/dist`: the page as it was built last, with a binary that holds another one.
    await context.route(/\/(assets\/.*|sweeps.*|compare.*|compute.*|new.*|settings|about)?$/, async (route) => {
      const path = new URL(route.request().url()).pathname;
      if (path.startsWith('/api/') || route.request().method() !== 'GET') return route.continue();
      const body = readFileSync(join(process.env.DIST, path.startsWith('/assets/') ? path : 'index.html'));
      const response = path.startsWith('/assets/') ? null : await route.fetch();
      const type = { js: 'text/javascript', css: 'text/css' }[path.split('.').pop()] ?? 'text/html';
      return route.fulfill({ ...(response ? { response } : {}), body, headers: { ...(response ? response.headers() : {}), 'content-type': type, 'content-encoding': 'identity' } });
    });
  }
  const page = await context.newPage();
  if (SLOW > 1) {
    // `SLOW=6 node tests/studio/views.mjs`: the page's processor six times slower.
    const session = await context.newCDPSession(page);
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOW });
  }
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED|status of 4/.test(message.text())) page.complaints.push(message.text());
  });
  page.on('dialog', (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(studio.link);
  return page;
}

/** No serious or critical finding of axe on the page as it is now. */
export async function accessible(page, what) {
  // The policy forbids evaluated text for the page itself; the debugger may.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? ''))])))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  if (exceptionDetails) throw new Error(exceptionDetails.text);
  const found = JSON.parse(result.value);
  check(`accessible: ${what}`, found.length === 0, JSON.stringify(found, null, 1));
}

/** Nothing is wider than the window. */
export async function fits(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`fits: ${what}`, over <= 1, `${over} px too wide`);
}

/** A picture for the documentation, where SHOTS names a folder: `SHOTS=docs/images bash tests/studio/run.sh views actions logged`. */
export async function picture(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `studio-${name}.png`) });
}

/** As `picture`, in both themes. */
export async function pictures(page, name) {
  if (!process.env.SHOTS) return;
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForTimeout(300);
    await picture(page, `${name}-${scheme}`);
  }
  await page.emulateMedia({ colorScheme: null });
}

/** A fixed scene of 200 lines of 200 points: how much slower than the machine of the budgets this one is now. */
export async function scene(page, budget = 60) {
  const took = await page.evaluate(() => {
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
  const slow = Math.max(1, took / budget);
  console.log(`  scene ${took.toFixed(0)} ms: this machine counts as ${slow.toFixed(1)} times slower`);
  return slow;
}
