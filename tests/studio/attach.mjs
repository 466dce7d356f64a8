// Every kind of compute target has a form of its own; a machine behind a real SSH server and a pool of Azure Batch (its protocol double) are
// attached, tested, changed and let go in the browser. Needs root and openssh-server (tests/services/sshd.sh).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Project, accessible, browser, check, config, open, pictures, until } from './kit.mjs';

const service = (name, verb, folder) => execFileSync('bash', [new URL(`../services/${name}.sh`, import.meta.url).pathname, verb, folder], { stdio: ['ignore', 'inherit', 'inherit'] });
const facts = (folder) => Object.fromEntries(readFileSync(join(folder, 'env'), 'utf8').trim().split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));

const project = new Project();
const services = mkdtempSync(join(tmpdir(), 'overdrive-services-'));
const [sshd, batch] = [join(services, 'sshd'), join(services, 'batch')];
const started = await browser();
try {
  service('sshd', 'start', sshd);
  service('batch', 'start', batch);
  const studio = await project.studio('--port', '0');
  const page = await open(started, studio);
  const target = (name) => JSON.parse(project.command('target', 'show', '-n', name, '--json'));
  const field = (name) => page.getByRole('textbox', { name, exact: true }).or(page.getByRole('textbox', { name: `${name} (optional)`, exact: true })).or(page.getByLabel(new RegExp(`^${name}( \\(optional\\))?$`)));
  const fill = async (values) => {
    for (const [name, value] of Object.entries(values)) await field(name).first().fill(value);
  };
  const secrets = () => (existsSync(join(project.folder, '.overdrive/studio-secrets')) ? readdirSync(join(project.folder, '.overdrive/studio-secrets')) : []);

  // The forms are those of the command line, whatever kinds it has.
  await page.goto(`${studio.base}/compute`);
  await page.getByText('this computer').first().waitFor();
  const kinds = (await page.evaluate(() => fetch('/api/v1/target-kinds').then((answer) => answer.json()))).items;
  const listed = { create: project.command('target', 'create', '--help'), attach: project.command('target', 'attach', '--help') };
  for (const { verb, kind, fields } of kinds.filter((one) => one.verb !== 'update')) {
    check(`${verb} ${kind} is a command, too`, listed[verb].includes(kind));
    await page.goto(`${studio.base}/compute/new?verb=${verb}&kind=${kind}`);
    await page.locator('#field-name').waitFor();
    for (const { group } of fields) if (group) await page.locator('details', { hasText: group }).first().evaluate((one) => (one.open = true));
    for (const { name, secret, switch: ticked } of fields) {
      const one = ticked ? page.getByRole('checkbox', { name, exact: true }) : page.locator(`#field-${name}`);
      if ((await one.count()) !== 1) check(`${kind} asks for ${name}`, false);
      if (secret && (await one.getAttribute('type')) !== 'password') check(`${name} is not shown`, false);
      if (/^ask-/.test(name)) check(`nobody is there to be asked for ${name}`, false);
    }
    check(`${verb} ${kind}: a form with all ${fields.length} fields`, fields.length > 3);
    await accessible(page, `the form of ${kind}`);
  }
  for (const kind of ['amlcompute', 'remote', 'slurm', 'batch']) check(`there is a form for ${kind}`, kinds.some((one) => one.kind === kind));

  // A machine: its host key is shown before it is believed.
  const machine = facts(sshd);
  await page.goto(`${studio.base}/compute`);
  await page.getByRole('link', { name: 'attach remote' }).click();
  await fill({ name: 'lab', address: '127.0.0.1', 'ssh-port': machine.PORT, username: machine.USER, password: machine.PASSWORD, slots: '2' });
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.getByRole('alert').getByText('SHA256:').waitFor();
  check('an unknown host is told with the fingerprint of its key', secrets().length === 0 && !project.command('target', 'list', '--json').includes('"lab"'));
  await accessible(page, 'a host that is not known');
  await page.getByRole('checkbox', { name: 'accept-host-key' }).check();
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.waitForURL(/compute\/lab$/);
  await page.getByRole('heading', { name: 'lab' }).waitFor();
  const kept = join(project.folder, '.overdrive/studio-secrets/lab.password');
  check('a machine is attached; its password lies in a private file', target('lab').type === 'remote' && (statSync(kept).mode & 0o777) === 0o600 && readFileSync(kept, 'utf8') === machine.PASSWORD);
  await page.getByRole('button', { name: 'test', exact: true }).click();
  await page.getByText('it can run trials').waitFor();
  const steps = await page.getByRole('region', { name: 'test' }).innerText();
  check('the machine was looked at for real', ['login', 'host key', 'Python', 'cores'].every((word) => steps.toLowerCase().includes(word.toLowerCase())), steps);
  await accessible(page, 'a machine with its test');
  await pictures(page, 'compute-remote');

  // Trials run there, and the page says so.
  project.write('hdconfig.yml', config({ total: 6, at: 2 }));
  const run = project.run('hdconfig.yml', 'train.py', ['--target', 'lab', '--', '--pause', '0.4']);
  await until('trials on the machine', async () => /[12]/.test(await page.locator('.answers .big').first().innerText()), 240_000);
  await page.getByRole('link', { name: /digits|train|overdrive/ }).first().waitFor();
  check('the machine says what runs on it', true);
  check('the sweep ends there', (await run.ended) === 0, run.words);

  // What is changed is changed; another password that is wrong is told by a test.
  await page.getByRole('button', { name: 'change', exact: true }).click();
  await until('what holds now', async () => (await field('slots').first().inputValue()) === '2');
  await fill({ slots: '3', password: 'not-the-password' });
  await page.getByRole('button', { name: 'change', exact: true }).click();
  await until('the change', () => target('lab').remote.slots === 3);
  check('a secret is replaced by a change', readFileSync(kept, 'utf8') === 'not-the-password');
  await page.getByRole('button', { name: 'test', exact: true }).click();
  await page.getByText('it cannot run trials').waitFor();
  await page.getByRole('button', { name: 'detach', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'detach', exact: true }).click();
  await page.waitForURL(/compute$/);
  check('a machine is let go with its secret', secrets().length === 0 && !project.command('target', 'list', '--json').includes('"lab"'));

  // The head of a Spark cluster, by SSH: what it lacks is told; kept all the same where that is wished, and a test says it again.
  await page.getByRole('link', { name: 'attach spark' }).click();
  await fill({ name: 'hadoop', address: '127.0.0.1', 'ssh-port': machine.PORT, username: machine.USER, password: machine.PASSWORD, master: 'yarn' });
  await page.getByRole('checkbox', { name: 'accept-host-key' }).check();
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.getByRole('alert').getByText('spark-submit').first().waitFor();
  check('a head node without Spark is told so, and nothing is kept of it', secrets().length === 0 && !project.command('target', 'list', '--json').includes('"hadoop"'));
  await page.getByRole('checkbox', { name: 'no-wait' }).check();
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.waitForURL(/compute\/hadoop$/);
  check('it is attached unseen', target('hadoop').type === 'spark' && secrets().join() === 'hadoop.password');
  await page.getByRole('button', { name: 'test', exact: true }).click();
  await page.getByText('it cannot run trials').waitFor();
  const lacks = await page.getByRole('region', { name: 'test' }).innerText();
  check('a test names what the head node lacks', lacks.includes('spark-submit'), lacks);
  await page.getByRole('button', { name: 'detach', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'detach', exact: true }).click();
  await page.waitForURL(/compute$/);

  // A pool of Azure Batch: two secrets, none seen.
  const pool = facts(batch);
  await page.getByRole('link', { name: 'attach batch' }).click();
  await fill({ name: 'cloud', 'account-url': pool.URL, account: pool.ACCOUNT, container: pool.CONTAINER, pool: pool.POOL, secret: pool.KEY, 'container-secret': pool.SIGNATURE });
  await accessible(page, 'the form of a pool');
  await pictures(page, 'compute-batch');
  await page.getByRole('button', { name: 'attach', exact: true }).click();
  await page.waitForURL(/compute\/cloud$/);
  await page.getByRole('heading', { name: 'cloud' }).waitFor();
  const text = readFileSync(join(project.folder, '.overdrive/compute/cloud.yml'), 'utf8');
  check('a pool is attached; its two secrets lie in two private files', secrets().sort().join() === 'cloud.container-secret,cloud.secret' && !text.includes(pool.KEY) && !text.includes(pool.SIGNATURE), text);
  await page.getByRole('button', { name: 'test', exact: true }).click();
  await page.getByText('it can run trials').waitFor();
  check('a pool is tested', true);
  check('no secret is on the page', !(await page.content()).includes(pool.KEY) && !(await page.content()).includes(machine.PASSWORD));
  await page.getByRole('button', { name: 'detach', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'detach', exact: true }).click();
  await page.waitForURL(/compute$/);
  check('a pool is let go with its secrets', secrets().length === 0);
  check('the browser had nothing to complain about', page.complaints.length === 0, page.complaints.join('\n'));
} finally {
  await started.close();
  project.end();
  service('batch', 'stop', batch);
  service('sshd', 'gone', sshd);
  rmSync(services, { recursive: true, force: true });
}
