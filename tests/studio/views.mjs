// Every view over a real sweep: what it says, that it is accessible in both themes, that links and keys lead where they should.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Project, accessible, browser, check, fits, open, picture, until } from './kit.mjs';
import { config } from './kit.mjs';

const project = new Project();
const started = await browser();
try {
  // An empty project first.
  const studio = await project.studio('--port', '0');
  const page = await open(started, studio);
  await page.getByText('no sweeps yet').waitFor();
  await accessible(page, 'no sweeps');

  project.write('hdconfig.yml', config());
  // The trials wait until they were seen running.
  const gate = join(project.folder, 'gate');
  const run = project.run('hdconfig.yml', 'train.py', ['-e', 'digits-mlp', '--', '--gate', gate]);
  await page.getByRole('link', { name: /digits-mlp/ }).first().waitFor();
  check('a sweep that starts shows up by itself', true);
  await page.getByRole('table').getByRole('link').first().click();
  await page.waitForURL(/sweeps\/HD_/);
  const id = page.url().split('/').pop();
  await page.getByText('Running').first().waitFor();
  check('the sweep opens while it runs', true);
  writeFileSync(gate, '');
  await page.getByRole('img', { name: /best so far/ }).waitFor();
  await run.ended;
  await until('the end on the page', async () => (await page.locator('h1 + .state').innerText()).includes('Completed'));
  check('its end arrives without a reload', true);
  const answers = await page.locator('.answers').innerText();
  for (const word of ['best Accuracy', 'progress', 'trouble', 'end', '40/40', 'stopped by policy', 'failed']) check(`the four answers say "${word}"`, answers.includes(word), answers);

  const views = {
    sweeps: ['/', 'Sweeps'],
    sweep: [`/sweeps/${id}`, 'learning curves'],
    trials: [`/sweeps/${id}/trials`, '40 trials'],
    curves: [`/sweeps/${id}/curves`, 'curves'],
    parameters: [`/sweeps/${id}/params`, 'in the brush'],
    importance: [`/sweeps/${id}/importance`, 'fANOVA'],
    model: [`/sweeps/${id}/model`, 'gaussian process'],
    policy: [`/sweeps/${id}/policy`, 'trials were stopped'],
    config: [`/sweeps/${id}/config`, 'as submitted'],
    events: [`/sweeps/${id}/events`, 'trial_state'],
    trial: [`/sweeps/${id}/trials/0`, 'Trial 0'],
    'trial-metrics': [`/sweeps/${id}/trials/0/metrics`, 'reports'],
    'trial-log': [`/sweeps/${id}/trials/0/logs`, 'Accuracy: '],
    'trial-files': [`/sweeps/${id}/trials/0/files`, 'outputs/table.csv'],
    'trial-command': [`/sweeps/${id}/trials/0/config`, 'the exact command'],
    'trial-history': [`/sweeps/${id}/trials/0/history`, 'trial_created'],
    compare: [`/compare?trials=${id}.0,${id}.1,${id}.2`, 'baseline'],
    'compare-sweeps': [`/compare?sweeps=${id}`, 'best so far of each sweep'],
    new: ['/new', 'what would run'],
    compute: ['/compute', 'this computer'],
    'compute-target': ['/compute/local', 'nothing runs'],
    'compute-new': ['/compute/new?verb=create&kind=amlcompute', 'max-nodes'],
    'compute-nowhere': ['/compute/nobody', 'no compute target is called'],
    settings: ['/settings', 'theme'],
    about: ['/about', 'state folder'],
    nowhere: ['/nowhere', 'no such page'],
    'no-sweep': ['/sweeps/HD_none', 'could not be loaded'],
  };
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [name, [path, text]] of Object.entries(views)) {
      await page.goto(studio.base + path);
      await page.getByText(text).first().waitFor();
      await page.waitForTimeout(350);
      await accessible(page, `${name}, ${scheme}`);
      if (!/nowhere|no-sweep|-history|about|^compute|compare-sweeps|^sweeps$/.test(name)) await picture(page, `${name}-${scheme}`);
    }
  }

  // Under the pointer a button is still read.
  await page.goto(studio.base);
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    const button = page.getByRole('link', { name: 'New sweep' });
    await page.mouse.move(5, 500);
    const ground = () => button.evaluate((one) => getComputedStyle(one).backgroundColor);
    const before = await ground();
    await button.hover();
    check(`the main button keeps its ground under the pointer, ${scheme}`, (await ground()) === before, `${before} ${await ground()}`);
  }

  // Phone width: nothing is lost sideways, and it stays accessible.
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [name, [path, text]] of Object.entries(views)) {
    await page.goto(studio.base + path);
    await page.getByText(text).first().waitFor();
    await page.waitForTimeout(150);
    await fits(page, name);
  }
  await page.goto(`${studio.base}/sweeps/${id}`);
  await page.getByText('learning curves').first().waitFor();
  await accessible(page, 'a sweep on a phone');
  await picture(page, 'phone-light');
  await page.setViewportSize({ width: 1400, height: 1000 });

  // Search and sort are in the address; back works.
  await page.goto(`${studio.base}/sweeps/${id}/trials`);
  await page.getByText('40 trials', { exact: true }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('state:failed');
  await page.waitForURL(/where=state%3Afailed/);
  await until('fewer rows', async () => !(await page.getByText('40 trials', { exact: true }).count()));
  // The number of hits is there before the rows are.
  await until('a search shows only what fits', async () => {
    const failed = await page.locator('tbody .state.failed').count();
    return failed > 0 && failed === (await page.locator('tbody tr:not(.pad)').count());
  });
  await page.locator('input[type=search]').fill('lr<');
  await page.getByText('is not a comparison').waitFor();
  check('a search that cannot be read says why', true);
  await page.locator('input[type=search]').fill('');
  await page.getByText('40 trials', { exact: true }).waitFor();
  await page.getByRole('button', { name: /^best Accuracy/ }).click();
  await page.waitForURL(/order=best/);
  await page.locator('tbody tr').first().getByText('best').waitFor({ state: 'attached' });
  check('sorting by value puts the best first', true);

  // Keys.
  await page.goto(`${studio.base}/sweeps/${id}`);
  await page.getByText('learning curves').first().waitFor();
  await page.keyboard.press('2');
  await page.waitForURL(/\/trials$/);
  // Rows, not places of rows.
  await page.locator('tbody input[type=checkbox]').nth(3).waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.keyboard.press('c');
  await page.waitForURL(/compare\?trials=/);
  await page.getByText('baseline').waitFor();
  check('keys: tab, rows, select, compare', true);
  await page.goBack();
  await page.waitForURL(/\/trials$/);
  check('back goes back', true);
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'the list of keys');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('about');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/about$/);
  check('the palette goes anywhere', true);
  await until('the sweeps', async () => {
    // The second key has to come soon after the first.
    await page.keyboard.type('gs');
    return /:\d+\/$/.test(page.url());
  });
  check('g s goes to the sweeps', true);

  // A chart by keyboard, as a table, and as files.
  await page.goto(`${studio.base}/sweeps/${id}/curves`);
  const chart = page.getByRole('img', { name: /learning curves/ });
  await chart.waitFor();
  await chart.focus();
  await until('a curve', async () => {
    // Nothing is there to walk along before the curves are.
    await page.keyboard.press('ArrowRight');
    return page.locator('.tip').count();
  });
  check('arrows walk through a chart', (await page.locator('.tip').innerText()).includes('report'));
  for (const [what, suffix] of [['SVG', 'svg'], ['PNG', 'png'], ['CSV', 'csv']]) {
    await page.getByRole('button', { name: /chart menu: learning curves/ }).click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: `save as ${what}` }).click()]);
    check(`a chart is saved as ${what}`, download.suggestedFilename().endsWith(suffix));
  }
  await page.getByRole('button', { name: /chart menu: learning curves/ }).click();
  await page.getByRole('button', { name: 'show as table' }).click();
  await page.getByRole('columnheader', { name: 'report' }).waitFor();
  check('a chart is shown as a table', true);

  // A brush is in the address and filters the table.
  await page.goto(`${studio.base}/sweeps/${id}/params?brush=${encodeURIComponent(JSON.stringify({ '--drop': [0, 0.25] }))}`);
  await page.getByText('in the brush').waitFor();
  const within = async () => Number(/^(\d+) of 40/.exec(await page.getByText('in the brush').innerText())?.[1] ?? 40);
  await until('a brush from the address holds', async () => (await within()) > 0 && (await within()) < 40);
  await page.getByRole('link', { name: 'show these in the table' }).click();
  await page.waitForURL(/where=drop/);
  check('a brush becomes a search', true);

  // The theme is kept.
  await page.goto(`${studio.base}/settings`);
  await page.getByLabel('dark').check();
  await page.reload();
  check('the theme is kept', (await page.evaluate(() => document.documentElement.dataset.theme)) === 'dark');

  check('the browser had nothing to complain about', page.complaints.length === 0, page.complaints.join('\n'));
} finally {
  await started.close();
  project.end();
}
