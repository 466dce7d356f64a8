// The browser's side of access: strangers, rebound names, other sites.
import { createServer } from 'node:http';
import { Project, accessible, browser, check, open } from './kit.mjs';

const project = new Project();
const started = await browser({ args: ['--host-resolver-rules=MAP evil.example 127.0.0.1'] });
const site = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>another site</p>'));
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
try {
  const studio = await project.studio('--port', '0');
  const port = new URL(studio.base).port;
  const page = await open(started, studio);
  await page.getByText('no sweeps yet').waitFor();

  // The link works once.
  const other = await started.newContext();
  const stranger = await other.newPage();
  const answer = await stranger.goto(studio.link);
  check('a used link signs nobody in', answer.status() === 401);
  check('a stranger sees nothing', (await stranger.goto(studio.base)).status() === 401);

  // A name that was rebound to this computer.
  check('a rebound name is refused', (await stranger.goto(`http://evil.example:${port}/`)).status() === 421);

  // Another site in the same browser, with the cookie in reach.
  const attacker = await page.context().newPage();
  await attacker.goto(`http://127.0.0.1:${site.address().port}/`);
  const tried = await attacker.evaluate(async (base) => {
    const attempts = [];
    for (const init of [{}, { mode: 'no-cors', credentials: 'include' }, { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"action":"cancel"}' }]) {
      try {
        const response = await fetch(`${base}/api/v1/sweeps`, init);
        attempts.push(`${response.type} ${response.status}`);
      } catch {
        attempts.push('blocked');
      }
    }
    return attempts;
  }, studio.base);
  check('another site reads nothing', tried.every((text) => text === 'blocked' || text.startsWith('opaque')), tried.join());
  const framed = await attacker.evaluate(async (base) => {
    const frame = document.createElement('iframe');
    frame.src = base;
    document.body.append(frame);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    try {
      return frame.contentDocument?.body?.innerText ?? '';
    } catch {
      return 'blocked';
    }
  }, studio.base);
  check('another site cannot frame it', !framed.includes('sweeps'), framed);

  // Signed out while one looks: the page says so.
  await page.context().clearCookies();
  await page.reload().catch(() => undefined);
  check('without the cookie there is no page', !(await page.content()).includes('id="app"'));
  const again = await open(started, { link: JSON.parse(project.command('studio', '--link', '--json')).link });
  await again.getByText('no sweeps yet').waitFor();
  check('`overdrive studio --link` signs another browser in', true);
  await again.context().clearCookies();
  await again.getByRole('link', { name: 'Compute' }).click();
  await again.getByText('this browser is not signed in').waitFor();
  await accessible(again, 'signed out');

  // Encrypted: the whole page works, and the cookie is for encrypted ways only.
  const hidden = await project.studio('--port', '0', '--tls');
  const safe = await open(started, hidden, { ignoreHTTPSErrors: true });
  await safe.getByText('no sweeps yet').waitFor();
  const [cookie] = await safe.context().cookies();
  check('over TLS the cookie is bound to its host and Secure', cookie.name === '__Host-overdrive_session' && cookie.secure && cookie.httpOnly && cookie.sameSite === 'Strict');
  await safe.goto(`${hidden.base}/compute`);
  await safe.getByText('this computer').first().waitFor();
  check('no complaint over TLS', safe.complaints.length === 0, safe.complaints.join('\n'));
  const unsure = await (await started.newContext()).newPage();
  check('a certificate that signs itself is not trusted unseen', await unsure.goto(hidden.base).then(() => false, (error) => /CERT_AUTHORITY_INVALID/.test(error.message)));

  // Read-only.
  const locked = await project.studio('--port', '0', '--read-only');
  const reader = await open(started, locked);
  await reader.getByRole('link', { name: 'About' }).click();
  await reader.getByText('this studio is read-only').waitFor();
  check('a read-only studio says so', true);
} finally {
  site.close();
  await started.close();
  project.end();
}
