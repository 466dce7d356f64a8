// Without a mouse: submit a sweep, watch it, stop a trial and then the sweep, compare. Whatever takes the focus has a name, a visible ring, and a way on.
import { Project, TRAIN, accessible, browser, check, config, open, until } from './kit.mjs';

const project = new Project();
const started = await browser();
try {
  // Trials that are still there when somebody has walked to them by Tab.
  project.write('slow.py', TRAIN.replace('default=0.02', 'default=0.5').replace('default=20', 'default=240'));
  const studio = await project.studio('--port', '0');
  const page = await open(started, studio);
  await page.getByText('no sweeps yet').waitFor();
  // A pointer would betray itself.
  const watch = () => {
    for (const kind of ['pointerdown', 'pointermove', 'mousedown']) document.addEventListener(kind, () => sessionStorage.setItem('pointer', kind), true);
  };
  await page.context().addInitScript(watch);
  await page.evaluate(watch);
  const session = await page.context().newCDPSession(page);
  await session.send('DOM.enable');
  await session.send('Accessibility.enable');

  /** Role and name of what has the focus, as a screen reader is told; null for the page as a whole. */
  const focused = async () => {
    const { result } = await session.send('Runtime.evaluate', { expression: 'document.activeElement === document.body ? null : document.activeElement' });
    if (!result.objectId) return null;
    const { nodes } = await session.send('Accessibility.getPartialAXTree', { objectId: result.objectId, fetchRelatives: false });
    const look = `function () {
      if (document.activeElement !== this) return null;
      const style = getComputedStyle(this);
      return this.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    }`;
    const { result: ring } = await session.send('Runtime.callFunctionOn', { objectId: result.objectId, functionDeclaration: look, returnByValue: true });
    const node = nodes.find((one) => !one.ignored) ?? nodes[0];
    // A view that lives may have taken it away meanwhile.
    if (ring.value === null) return { role: 'none', name: '', ring: false };
    return { role: node.role?.value, name: node.name?.value ?? '', ring: ring.value };
  };
  const named = (at, where) => {
    if (at) check(`${where}: ${at.role} "${at.name.slice(0, 60)}" has a name${at.role === 'heading' ? '' : ' and a ring'}`, at.name.trim() !== '' && (at.ring || ['heading', 'main'].includes(at.role)), JSON.stringify(at));
  };
  const is = (at, role, name) => at && at.role === role && (name instanceof RegExp ? name.test(at.name) : at.name === name);
  /** Tab (or Shift-Tab) until something is reached. */
  const reach = async (role, name, key = 'Tab') => {
    const seen = [];
    for (let i = 0; i < 120; i++) {
      const at = await focused();
      if (is(at, role, name)) return at;
      if (at) seen.push(`${at.role} ${at.name}`);
      await page.keyboard.press(key);
    }
    throw new Error(`${key} does not reach ${role} ${name}; on the way: ${seen.join(' | ')}`);
  };
  /** Once around: every stop has a name and a ring, and the way leads out of the page's end. */
  const around = async (where) => {
    await page.evaluate(() => document.activeElement?.blur());
    const stops = [];
    let out = false;
    for (let i = 0; i < 250 && !out; i++) {
      await page.keyboard.press('Tab');
      const at = await focused();
      if (i > 0 && is(at, 'link', 'skip to content')) out = true;
      else if (at !== null && at.role !== 'none') stops.push(at);
    }
    const bad = stops.filter((at) => at.name.trim() === '' || !at.ring);
    check(`${where}: ${stops.length} stops of the Tab key, all with a name and a ring, and a way out`, out && stops.length > 5 && bad.length === 0, JSON.stringify(bad));
  };
  const heading = (name) => until(`the title ${name} has the focus`, async () => is(await focused(), 'heading', name));

  // The first stop leads past the bar.
  await page.keyboard.press('Tab');
  named(await focused(), 'the first stop');
  await page.keyboard.press('Enter');
  check('the content takes the focus', await page.evaluate(() => document.activeElement?.id === 'content'));

  // Submit.
  await until('the view of a new sweep', async () => {
    await page.keyboard.type('gn');
    return page.url().endsWith('/new');
  });
  await heading('New sweep');
  check('the window is called after the view', (await page.title()).startsWith('New sweep'));
  await around('new sweep');
  await reach('textbox', 'configuration');
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(config({ total: 400, at: 4 }).replace(/policy:[\s\S]*?slack_factor: 0.1\n/, ''));
  await reach('textbox', /^script/);
  await page.keyboard.insertText('slow.py');
  await until('nothing is wrong', async () => page.getByRole('button', { name: 'Start' }).isEnabled());
  await reach('button', 'Start', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL(/sweeps\/HD_/);

  // Watch.
  await heading(/.+/);
  const id = page.url().split('/').pop();
  const row = () => JSON.parse(project.command('show', id, '--json', '--limit', '0'));
  await until('trials', () => row().items.length > 0);
  await page.getByRole('img', { name: /best so far/ }).waitFor();
  await until('the title of the window counts', async () => /^\d+\/400 /.test(await page.title()));
  await around('a sweep that runs');
  await reach('image', /^learning curves/);
  await until('values are read out', async () => {
    await page.keyboard.press('ArrowRight');
    // Read out once one stays.
    await page.waitForTimeout(500);
    return page.evaluate(() => [...document.querySelectorAll('figure [aria-live]')].some((one) => one.textContent.includes('report')));
  });
  await page.keyboard.press('2');
  await page.waitForURL(/\/trials$/);
  await page.locator('tbody input[type=checkbox]').nth(1).waitFor();

  // Stop one that runs: r shows those only.
  check('a trial is stopped without a mouse', await until('a stop', async () => {
    if (!page.url().includes('where=')) await page.keyboard.type('r');
    await page.waitForURL(/where=state%3Arunning/);
    await page.locator('tbody tr .state.live').first().waitFor();
    await reach('region', 'trials');
    await until('a trial opens', async () => {
      // Rows of another search may still be on their way.
      if (!/trials\/\d+$/.test(page.url())) await page.keyboard.press('Enter');
      return /trials\/\d+$/.test(page.url());
    });
    await heading(/^Trial \d+/);
    const trial = Number(page.url().split('/').pop());
    await reach('button', 'Stop trial');
    await page.keyboard.press('Enter');
    check('a question takes the focus, on the harmless answer', is(await focused(), 'button', 'keep'));
    await reach('button', 'Stop trial');
    await page.keyboard.press('Enter');
    await until('an answer', () => ['Canceled', 'Completed', 'Failed'].includes(row().items.find((one) => one.trial === trial)?.state));
    const ended = row().items.find((one) => one.trial === trial);
    if (ended.cause === 'user') return true;
    // It was over before the question was answered.
    await page.goto(`${studio.base}/sweeps/${id}/trials`);
    await page.locator('tbody input[type=checkbox]').first().waitFor();
    return false;
  }));
  await around('a trial');

  // Compare two.
  await page.keyboard.press('Escape');
  await page.waitForURL(new RegExp(`sweeps/${id}$`));
  await page.keyboard.press('2');
  await page.waitForURL(/\/trials$/);
  await page.locator('tbody input[type=checkbox]').nth(2).waitFor();
  await page.keyboard.type('xjx');
  await page.getByText('2 selected').waitFor();
  await page.keyboard.type('c');
  await page.waitForURL(/compare\?trials=/);
  await heading('Compare');
  await page.getByText('baseline').waitFor();
  await around('compare');

  // The sweep ends; the question gives the focus back.
  await page.goBack();
  await page.waitForURL(/\/trials$/);
  await page.getByRole('button', { name: 'Cancel' }).waitFor();
  await reach('button', 'Cancel');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await until('the focus is back', async () => is(await focused(), 'button', 'Cancel'));
  await page.keyboard.press('Enter');
  await reach('button', 'cancel the sweep');
  await page.keyboard.press('Enter');
  await until('the end', () => row().state === 'Canceled');
  check('a sweep is canceled without a mouse', true);

  // The choices of the menu are those of an ended sweep only when the page knows of the end.
  await page.getByRole('button', { name: 'Cancel', exact: true }).waitFor({ state: 'detached' });
  // A menu: opens on its first choice, arrows walk, Escape gives the focus back; a dialog from it, too.
  await reach('button', 'More');
  await page.keyboard.press('Enter');
  await page.keyboard.press('ArrowDown');
  await until('the second choice', () => page.evaluate(() => document.activeElement === document.querySelectorAll('.menu button')[1]));
  check('arrows walk through a menu', true);
  await page.keyboard.press('Escape');
  await until('the menu gives the focus back', async () => is(await focused(), 'button', 'More'));
  await page.keyboard.press('Enter');
  await reach('button', 'tags and notes', 'ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'a dialog by keyboard');
  await page.keyboard.press('Escape');
  await until('the dialog gives the focus back', async () => is(await focused(), 'button', 'More'));

  for (const [keys, path, title] of [['gs', /:\d+\/$/, 'Sweeps'], ['gc', /\/compute$/, 'Compute']]) {
    await until(title, async () => {
      await page.keyboard.type(keys);
      return path.test(page.url());
    });
    await heading(title);
    await around(title);
  }
  check('no pointer was used', (await page.evaluate(() => sessionStorage.getItem('pointer'))) === null);
  check('the browser had nothing to complain about', page.complaints.length === 0, page.complaints.join('\n'));
} finally {
  await started.close();
  project.end();
}
