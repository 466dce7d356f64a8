import { chromium } from 'playwright-core';
import { execSync } from 'node:child_process';
const [base, link, out, ...paths] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await (await browser.newContext({ viewport: { width: Number(process.env.W || 1400), height: Number(process.env.H || 1000) }, colorScheme: process.env.DARK ? 'dark' : 'light' })).newPage();
page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.log('console', m.type(), m.text()));
page.on('pageerror', (e) => console.log('pageerror', e.stack));
await page.goto(base + new URL(link).pathname + new URL(link).search);
for (const p of paths) {
  await page.goto(base + p);
  await page.waitForTimeout(Number(process.env.WAIT || 1500));
  const name = out + p.replace(/[^a-z0-9]+/gi, '-').slice(0, 60) + '.png';
  await page.screenshot({ path: name, fullPage: !!process.env.FULL });
  console.log(name);
}
await browser.close();
