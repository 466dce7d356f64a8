// Every action, on a sweep that really runs.
import { Project, accessible, browser, check, config, open, until } from './kit.mjs';

const project = new Project();
const started = await browser();
try {
  project.write('hdconfig.yml', config({ total: 60, at: 2 }));
  const studio = await project.studio('--port', '0');
  const run = project.run('hdconfig.yml', 'train.py', ['--', '--pause', '0.5']);
  const page = await open(started, studio);
  await page.getByRole('table').getByRole('link').first().click();
  await page.waitForURL(/sweeps\/HD_/);
  const id = page.url().split('/').pop();
  const row = () => JSON.parse(project.command('show', id, '--json'));
  await until('running trials', () => (row().trials.Running ?? 0) > 0);

  // Limits, while it runs.
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: 'change limits' }).click();
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'the dialog of limits');
  await page.getByLabel('max_total_runs').fill('50');
  await page.getByLabel('max_concurrent_runs').fill('4');
  await page.getByRole('button', { name: 'change', exact: true }).click();
  await page.getByText('change limits: done').waitFor();
  await until('four at once', () => (row().trials.Running ?? 0) === 4);
  check('limits change while it runs', row().max_total_runs === 50 && row().max_concurrent_runs === 4);

  // A configuration of one's own.
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: 'try a configuration' }).click();
  await page.getByLabel('--lr').fill('0.0123');
  await page.getByLabel('--drop').fill('0.125');
  await accessible(page, 'the dialog of a configuration');
  await page.getByRole('button', { name: 'try next' }).click();
  await page.getByText('try a configuration: done').waitFor();
  const trials = () => JSON.parse(project.command('show', id, '--json', '--limit', '0')).items;
  await until('the enqueued trial', () => trials().some((trial) => trial.parameters['--lr'] === 0.0123 && trial.parameters['--drop'] === 0.125));
  check('an enqueued configuration is tried', true);

  // Stop one trial, run it again.
  const newest = (rows) => rows.filter((trial) => trial.state === 'Running' && trial.reports < 8).sort((a, b) => b.trial - a.trial)[0];
  const one = await until('a running trial', () => newest(trials()));
  await page.goto(`${studio.base}/sweeps/${id}/trials/${one.trial}`);
  await page.getByRole('button', { name: 'Stop trial' }).click();
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'the question before a stop');
  await page.getByRole('dialog').getByRole('button', { name: 'Stop trial' }).click();
  await until('its end', async () => (await page.locator('h1 + .state').innerText()).includes('Canceled'));
  check('a trial is stopped', trials().find((trial) => trial.trial === one.trial).cause === 'user');
    await page.getByRole('button', { name: 'Run again' }).click();
  await page.getByText('Run again: done').waitFor();
  await until('a repetition', () => trials().some((trial) => JSON.stringify(trial.parameters) === JSON.stringify(one.parameters) && trial.trial !== one.trial));
  check('a trial is run again', true);

  // Pause and go on.
  await page.goto(`${studio.base}/sweeps/${id}`);
  await page.getByRole('button', { name: 'Pause' }).click();
  await until('the pause', () => row().state === 'Paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await until('going on', () => row().state === 'Running');
  check('pause and resume', true);

  // Tags, notes, archive.
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: 'tags and notes', exact: true }).click();
  await page.getByLabel(/^tags, one/).fill('team=blue\nnightly=yes');
  await page.getByLabel('notes', { exact: true }).fill('looks good');
  await page.getByRole('button', { name: 'save' }).click();
  await page.getByText('team=blue').waitFor();
  check('tags and notes', row().notes === 'looks good' && row().tags.nightly === 'yes');

  // The controller dies; the page says so and starts another.
  run.kill('SIGKILL');
  await page.getByText('no controller leads this sweep').first().waitFor();
  await page.getByRole('button', { name: 'lead it from here' }).click();
  await page.getByText('the sweep is led again').waitFor();
  await until('the notice goes', async () => (await page.getByText('no controller leads this sweep').count()) === 0);
  check('a sweep without a controller is led again', true);

  // Cancel, by keyboard through the dialog.
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'cancel the sweep' }).click();
  await until('the end', () => row().state === 'Canceled');
  check('a sweep is canceled', true);
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: 'archive', exact: true }).click();
  await page.goto(studio.base);
  await page.getByText('no sweeps yet').waitFor();
  check('an archived sweep is out of sight', true);

  // A new one from a text with a mistake.
  await page.goto(`${studio.base}/new`);
  const editor = page.getByRole('textbox', { name: 'configuration', exact: true });
  await editor.fill(config({ total: 4, at: 2 }).replace('uniform\n      values: [0, 0.5]', 'unifrom\n      values: [0, 0.5]'));
  await page.getByLabel('script').fill('train.py');
  await page.getByText('is not a sampling expression').waitFor();
  check('mistakes are shown as one types', await page.getByRole('button', { name: 'Start' }).isDisabled());
  await accessible(page, 'a text with a mistake');
  await page.getByRole('button', { name: /^write/ }).click();
  await until('a text without mistakes', async () => page.getByRole('button', { name: 'Start' }).isEnabled());
  check('a suggestion is taken with one click', (await editor.inputValue()).includes('expression: uniform'));
  await page.getByRole('button', { name: 'Start' }).click();
  await page.waitForURL(/sweeps\/HD_/, { timeout: 40_000 });
  await until('its end', async () => (await page.locator('h1 + .state').innerText()).includes('Completed'), 90_000);
  check('a sweep is started from the page and ends', true);
  check('the browser had nothing to complain about', page.complaints.length === 0, page.complaints.join('\n'));
} finally {
  await started.close();
  project.end();
}
