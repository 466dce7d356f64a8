// The studio is killed while one looks: a banner, no loss, and everything current again once it is back.
import { Project, accessible, browser, check, config, open, until } from './kit.mjs';

const project = new Project();
const started = await browser();
try {
  project.write('hdconfig.yml', config({ total: 5000, at: 2 }));
  let studio = await project.studio('--port', '0');
  const port = new URL(studio.base).port;
  const run = project.run('hdconfig.yml', 'train.py', ['--', '--pause', '0.1']);
  const page = await open(started, studio);
  await page.getByRole('table').getByRole('link').first().click();
  await page.waitForURL(/sweeps\/HD_/);
  const ended = async () => Number((await page.locator('.answers .big').nth(1).innerText()).split('/')[0].replaceAll(',', ''));
  await until('some ended trials', async () => (await ended()) > 2);
  studio.kill('SIGKILL');
  const begun = Date.now();
  await page.getByText('reconnecting, data as of').waitFor();
  check('a banner says how old the data are', Date.now() - begun > 2000);
  await accessible(page, 'the banner');
  const then = await ended();
  check('the sweep goes on without the studio', run.exitCode === null);
  await page.waitForTimeout(3000);
  check('what was seen stays', (await ended()) === then);
  studio = await project.studio('--port', port);
  await until('the banner goes', async () => (await page.getByText('reconnecting').count()) === 0);
  await until('newer data', async () => (await ended()) > then);
  check('the page is current again without a reload or a new sign-in', true);
  run.kill('SIGTERM');
  await run.ended;
} finally {
  await started.close();
  project.end();
}
