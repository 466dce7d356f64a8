// Every action, on a sweep that really runs.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Project, accessible, browser, check, config, open, pictures, until } from './kit.mjs';

const project = new Project();
const started = await browser();
try {
  project.write('hdconfig.yml', config({ total: 600, at: 2 }));
  const studio = await project.studio('--port', '0');
  const run = project.run('hdconfig.yml', 'train.py', ['--', '--pause', '0.5', '--steps', '60']);
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
  await page.getByLabel('max_total_runs').fill('500');
  await page.getByLabel('max_concurrent_runs').fill('4');
  await page.getByRole('button', { name: 'change', exact: true }).click();
  await page.getByText(/change limits: (done|asked)/).waitFor();
  await until('four at once', () => (row().trials.Running ?? 0) === 4);
  check('limits change while it runs', row().max_total_runs === 500 && row().max_concurrent_runs === 4);

  // A configuration of one's own.
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: 'try a configuration' }).click();
  await page.getByLabel('--lr').fill('0.0123');
  await page.getByLabel('--drop').fill('0.125');
  await accessible(page, 'the dialog of a configuration');
  await page.getByRole('button', { name: 'try next' }).click();
  await page.getByText(/try a configuration: (done|asked)/).waitFor();
  const trials = () => JSON.parse(project.command('show', id, '--json', '--limit', '0')).items;
  await until('the enqueued trial', () => trials().some((trial) => trial.parameters['--lr'] === 0.0123 && trial.parameters['--drop'] === 0.125));
  check('an enqueued configuration is tried', true);

  // Stop one trial, run it again.
  const newest = (rows) => rows.filter((trial) => trial.state === 'Running' && trial.reports < 8).sort((a, b) => b.trial - a.trial)[0];
  const one = await until('a running trial', () => newest(trials()));
  await page.goto(`${studio.base}/sweeps/${id}/trials/${one.trial}`);
  await page.getByRole('button', { name: 'Stop trial' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop trial' }).click();
  await until('its end', async () => (await page.locator('h1 + .state').innerText()).includes('Canceled'));
  check('a trial is stopped', trials().find((trial) => trial.trial === one.trial).cause === 'user');
  await page.getByRole('button', { name: 'Run again' }).click();
  await page.getByText(/Run again: (done|asked)/).waitFor();
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
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'the question before an end');
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
  await page.waitForURL(/sweeps\/HD_/, { timeout: 240_000 });
  await until('its end', async () => (await page.locator('h1 + .state').innerText()).includes('Completed'));
  check('a sweep is started from the page and ends', true);

  // A new one from the form: all ten expressions, each finding beside its parameter.
  await page.goto(`${studio.base}/new`);
  await page.getByLabel('form', { exact: true }).check();
  const builder = page.locator('.builder');
  await builder.or(page.getByRole('dialog')).first().waitFor();
  if (await page.getByRole('dialog').count()) await page.getByRole('dialog').getByRole('button', { name: 'use the form' }).click();
  await page.getByLabel('script').fill('train.py');
  const rows = builder.locator('.parameters > li');
  const shapes = [
    ['--choice', 'choice', ['16, 32, "a,b", adam']],
    ['--uniform', 'uniform', ['0', '0.5']],
    ['--quniform', 'quniform', ['0', '10', '2']],
    ['--loguniform', 'loguniform', ['0.001', '0.5']],
    ['--qloguniform', 'qloguniform', ['1', '1000', '10']],
    ['--normal', 'normal', ['0', '1']],
    ['--qnormal', 'qnormal', ['8', '2', '1']],
    ['--lognormal', 'lognormal', ['0', '1']],
    ['--qlognormal', 'qlognormal', ['2', '0.5', '1']],
    ['--randint', 'randint', ['5']],
  ];
  for (const [place, [name, expression, values]] of shapes.entries()) {
    while ((await rows.count()) <= place) await builder.getByRole('button', { name: 'add a parameter' }).click();
    const row = rows.nth(place);
    await row.getByLabel('parameter', { exact: true }).fill(name);
    await row.getByLabel('expression').selectOption(expression);
    const fields = row.locator('input[type=text]');
    for (const [at, value] of values.entries()) await fields.nth(at + 1).fill(value);
  }
  await until('nothing wrong', async () => (await page.getByText('nothing wrong').count()) > 0 || (await page.getByRole('button', { name: 'Start' }).isEnabled()));
  const plan = await until('the plan of ten parameters', async () => {
    const text = await page.locator('.kv').innerText();
    return shapes.every(([name]) => text.includes(name)) && text;
  });
  check('all ten expressions are understood as meant', shapes.every(([name, expression]) => new RegExp(`${name} ${expression}`).test(plan)), plan);
  await rows.nth(1).locator('input[type=text]').nth(2).fill('-1');
  await rows.nth(1).locator('.problem').first().waitFor();
  await until('a finding stands beside its parameter', async () => (await rows.nth(2).locator('.problem').count()) === 0 && (await page.getByRole('button', { name: 'Start' }).isDisabled()));
  await accessible(page, 'the form with a mistake');
  await pictures(page, 'form');
  await rows.nth(1).locator('input[type=text]').nth(2).fill('0.5');
  // Down to what the script takes, and start.
  while ((await rows.count()) > 2) await rows.last().getByRole('button', { name: /^remove/ }).click();
  for (const [place, [name, expression, values]] of [['--lr', 'loguniform', ['0.0001', '0.1']], ['--width', 'choice', ['16, 32']]].entries()) {
    await rows.nth(place).getByLabel('parameter', { exact: true }).fill(name);
    await rows.nth(place).getByLabel('expression').selectOption(expression);
    for (const [at, value] of values.entries()) await rows.nth(place).locator('input[type=text]').nth(at + 1).fill(value);
  }
  while ((await rows.count()) < 3) await builder.getByRole('button', { name: 'add a parameter' }).click();
  await rows.nth(2).getByLabel('parameter', { exact: true }).fill('--drop');
  await builder.getByLabel('primary_metric_name').fill('Accuracy');
  await builder.getByLabel('primary_metric_goal').selectOption('maximize');
  await builder.getByLabel('early termination').selectOption('MedianStoppingPolicy');
  await builder.getByLabel('max_total_runs').fill('3');
  await page.getByText('what the form writes').click();
  await until('the form writes natural logarithms', async () => (await page.getByRole('region', { name: 'what the form writes' }).innerText()).includes('values: [-9.21034037, -2.30258509]'));
  await until('a form without mistakes', async () => page.getByRole('button', { name: 'Start' }).isEnabled());
  await page.getByRole('button', { name: 'Start' }).click();
  await page.waitForURL(/sweeps\/HD_/, { timeout: 240_000 });
  await until('its end', async () => (await page.locator('h1 + .state').innerText()).includes('Completed'));
  const formed = JSON.parse(project.command('show', page.url().split('/').pop().split('?')[0], '--json'));
  check('a sweep is started from the form and ends', formed.trials.Completed === 3 && formed.items.every((item) => item.parameters['--lr'] >= 0.0001 && item.parameters['--lr'] <= 0.1));

  // Several sweeps, compared; the list is filtered and sorted, and the address says how.
  await page.goto(studio.base);
  await page.getByLabel('filter sweeps').fill('state:completed');
  await page.waitForURL(/q=state%3Acompleted/);
  const boxes = page.getByRole('table').locator('tbody input[type=checkbox]');
  await until('two sweeps', async () => (await boxes.count()) === 2);
  await page.getByRole('button', { name: /^best/ }).click();
  await page.waitForURL(/sort=/);
  for (let at = 0; at < 2; at++) await boxes.nth(at).check();
  await page.getByRole('button', { name: 'compare 2' }).or(page.getByRole('link', { name: 'compare 2' })).click();
  await page.waitForURL(/compare\?sweeps=/);
  await page.getByText('best so far of each sweep').waitFor();
  await accessible(page, 'two sweeps compared');
  await pictures(page, 'compare-sweeps');
  await until('several sweeps are compared', async () => (await page.getByRole('img', { name: /best so far of each sweep/ }).count()) === 1);
  await page.goto(studio.base);
  await page.getByRole('checkbox').nth(2).waitFor();
  const names = JSON.parse(project.command('list', '--json')).items.map((one) => one.name ?? one.experiment);
  check('what was submitted is called as the folder of its code', names.length > 1 && new Set(names).size === 1 && !/^[0-9a-f]{32}$/.test(names[0]), names.join());
  await pictures(page, 'sweeps');

  // Compute: create, look, test for real, change, delete; what cannot be is told in the command line's words.
  await page.goto(`${studio.base}/compute`);
  await page.getByRole('link', { name: 'create amlcompute' }).click();
  await page.getByLabel('name', { exact: true }).fill('cpu-pool');
  await page.getByLabel('vm-size').fill('STANDARD_D3V2X');
  await page.getByLabel('max-nodes').fill('3');
  await page.getByRole('button', { name: 'create', exact: true }).click();
  await page.getByRole('alert').getByText('Standard_D3_v2').waitFor();
  const told = await page.getByRole('alert').innerText();
  check('a mistake is told, with what was probably meant', told.includes('could not be done') && !told.includes('\\u'), told);
  await accessible(page, 'the form of a cluster');
  await pictures(page, 'compute-new');
  await page.getByLabel('vm-size').fill('STANDARD_D3_V2');
  await page.getByRole('button', { name: 'create', exact: true }).click();
  await page.waitForURL(/compute\/cpu-pool$/);
  await page.getByRole('heading', { name: 'cpu-pool' }).waitFor();
  check('a cluster is created', JSON.parse(project.command('target', 'show', '-n', 'cpu-pool', '--json')).amlcompute.max_nodes === 3);
  await page.getByRole('button', { name: 'test', exact: true }).click();
  await page.getByText('it can run trials').waitFor();
  const steps = await page.getByRole('region', { name: 'test' }).innerText();
  check('a test is real, with the time of each step', ['disk', 'processes', 'clock', 'ms'].every((word) => steps.includes(word)), steps);
  await accessible(page, 'a target with its test');
  await pictures(page, 'compute-target');
  await page.getByRole('button', { name: 'change', exact: true }).click();
  await until('what holds now', async () => (await page.getByLabel('max-nodes').inputValue()) === '3');
  check('the form shows what holds now', true);
  await page.getByLabel('max-nodes').fill('7');
  await page.getByRole('button', { name: 'change', exact: true }).click();
  await until('the change', () => JSON.parse(project.command('target', 'show', '-n', 'cpu-pool', '--json')).amlcompute.max_nodes === 7);
  check('a cluster is changed', true);
  await page.goto(`${studio.base}/compute`);
  await page.getByRole('link', { name: 'cpu-pool' }).waitFor();
  await pictures(page, 'compute');
  await page.getByRole('link', { name: 'cpu-pool' }).click();
  await page.getByRole('button', { name: 'delete', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'delete', exact: true }).click();
  await page.waitForURL(/compute$/);
  await until('the cluster is gone', async () => (await page.getByRole('link', { name: 'cpu-pool' }).count()) === 0);
  check('a cluster is deleted', !project.command('target', 'list', '--json').includes('cpu-pool'));

  // A machine: its host is looked at when it is attached, and nothing stays of what could not be reached; without looking it is filed.
  await page.goto(`${studio.base}/compute`);
  await page.getByRole('link', { name: 'attach remote' }).click();
  await page.getByLabel('name', { exact: true }).fill('lab-box');
  await page.getByLabel('address (optional)').fill('127.0.0.1');
  await page.getByLabel('ssh-port (optional)').fill('1');
  await page.getByLabel('username (optional)').fill('nobody');
  await page.getByLabel('password (optional)').fill('hunter2-secret');
  check('a password is not shown', (await page.getByLabel('password (optional)').getAttribute('type')) === 'password');
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.getByRole('alert').getByText(/nothing was attached/).waitFor();
  check('what cannot be reached is not attached, and the step that failed is told', !project.command('target', 'list', '--json').includes('lab-box'));
  await page.getByLabel('no-wait').check();
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.waitForURL(/compute\/lab-box$/);
  await page.getByRole('heading', { name: 'lab-box' }).waitFor();
  const filed = readFileSync(join(project.folder, '.overdrive/compute/lab-box.yml'), 'utf8');
  const kept = join(project.folder, '.overdrive/studio-secrets/lab-box.password');
  check('its secret lies in a private file, not in the target\'s', !filed.includes('hunter2') && readFileSync(kept, 'utf8') === 'hunter2-secret' && (statSync(kept).mode & 0o777) === 0o600, filed);
  await page.getByRole('button', { name: 'test', exact: true }).click();
  await page.getByText('it cannot run trials').waitFor();
  await accessible(page, 'a target that cannot be reached');
  await page.getByRole('button', { name: 'detach', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'detach', exact: true }).click();
  await page.waitForURL(/compute$/);
  check('a machine is detached, and its secret forgotten', !existsSync(kept) && !project.command('target', 'list', '--json').includes('lab-box'));
  check('the browser had nothing to complain about', page.complaints.length === 0, page.complaints.join('\n'));
} finally {
  await started.close();
  project.end();
}
