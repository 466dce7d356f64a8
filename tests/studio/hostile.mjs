// Names, values and output that try to become markup, script or another direction: they stay text.
import { Project, accessible, browser, check, open, until } from './kit.mjs';

const BAD = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
const project = new Project();
const started = await browser();
try {
  project.write(
    'hostile.py',
    `
import argparse, sys, os
p = argparse.ArgumentParser()
args, rest = p.parse_known_args()
bad = '''${BAD}'''
print(bad); print('\\x1b]0;title\\x07\\x1b[31mred\\x1b[0m \\u202eevil \\x00 \\x9b31m'); print('progress 1\\rprogress 2')
os.makedirs('outputs', exist_ok=True)
open('outputs/' + '<b>x<b>.csv', 'w').write('<i>a</i>,=1+1\\n"<svg onload=alert(1)>",2\\n')
open('outputs/page.html', 'w').write('<script>parent.hacked=1</script>')
try:
    import mlflow
except ImportError:
    mlflow = None
from azureml.core.run import Run
run = Run.get_context()
for i in range(5):
    run.log(bad, 0.1 * i)
    run.log('score', 0.1 * i)
run.tag('<b>tag</b>', bad)
if any('fail' in word for word in rest): sys.exit(bad)
`,
  );
  project.write(
    'hostile.yml',
    `sampling:
  type: random
  parameter_space:
    - name: "--<b>lr</b>"
      expression: uniform
      values: [0, 1]
    - name: "--__proto__"
      expression: choice
      values: ["${BAD.replaceAll('"', "'")}", "fail", "\\u202eevil"]
    - name: "--constructor"
      expression: choice
      values: ["=cmd()", "javascript:alert(1)"]
primary_metric_name: score
primary_metric_goal: maximize
max_total_runs: 8
max_concurrent_runs: 2
overdrive:
  seed: 3
`,
  );
  const studio = await project.studio('--port', '0');
  const run = project.run('hostile.yml', 'hostile.py', ['--name', BAD, '--tag', `x=${BAD}`, '-e', 'hostile']);
  await run.ended;
  const page = await open(started, studio);
  const id = JSON.parse(project.command('list', '--json')).items[0].sweep;
  const safe = async (what) => {
    const found = await page.evaluate(() => ({
      hacked: window.hacked ?? 0,
      images: [...document.images].filter((image) => image.getAttribute('src') === 'x').length,
      scripts: document.scripts.length,
      bold: document.querySelectorAll('main b').length - document.querySelectorAll('main .state b, main .tip b').length,
      title: document.title,
    }));
    check(`text stays text: ${what}`, !found.hacked && !found.images && found.scripts === 1 && !found.bold && !found.title.includes('title'), JSON.stringify(found));
    const text = await page.locator('main').innerText();
    check(`nothing reorders text: ${what}`, !/[\u202a-\u202e\u2066-\u2069\u0000\u001b]/.test(text.replaceAll('\n', '')));
  };
  for (const path of ['/', `/sweeps/${id}`, `/sweeps/${id}/trials`, `/sweeps/${id}/params`, `/sweeps/${id}/curves?metric=${encodeURIComponent(BAD)}`, `/sweeps/${id}/config`, `/sweeps/${id}/events`, `/sweeps/${id}/trials/0`, `/sweeps/${id}/trials/0/metrics`, `/sweeps/${id}/trials/0/logs`, `/sweeps/${id}/trials/0/files`, `/sweeps/${id}/trials/0/config`, `/compare?trials=${id}.0,${id}.1`, `/sweeps/${id}?where=${encodeURIComponent(BAD)}`, `/sweeps/${encodeURIComponent(BAD)}`, `/new?from=${id}`]) {
    await page.goto(studio.base + path);
    await page.locator('h1, .problem, .empty').first().waitFor();
    await page.waitForTimeout(500);
    await safe(decodeURIComponent(path).slice(0, 60));
  }
  await page.goto(`${studio.base}/sweeps/${id}/trials/0/logs`);
  await until('the log', async () => (await page.locator('.log').innerText()).includes('progress 2'));
  const log = await page.locator('.log').innerText();
  check('the log shows markup as it is', log.includes('<img src=x'), log);
  check('a carriage return overwrites', !log.includes('progress 1'));
  await page.goto(`${studio.base}/sweeps/${id}/trials/0/files`);
  await page.getByRole('row', { name: /x<b>\.csv/ }).getByRole('button', { name: 'table' }).click();
  await page.getByText('<svg onload=alert(1)>').waitFor();
  await safe('a table from a file');
  await accessible(page, 'hostile files');
  // A script's page opened by hand is a download, not a page.
  const answer = await page.evaluate(async (sweep) => {
    const response = await fetch(`/api/v1/sweeps/${sweep}/trials/0/file?path=wd/outputs/page.html`);
    return [response.headers.get('content-type'), response.headers.get('content-disposition'), response.headers.get('content-security-policy')];
  }, id);
  check('a script\'s page is a download in a sandbox', answer[0] === 'application/octet-stream' && answer[1] === 'attachment' && answer[2].includes('sandbox'), answer.join());
  const blocked = page.complaints.filter((text) => /Content Security Policy|Trusted/i.test(text));
  check('the policy had nothing to stop', blocked.length === 0, blocked.join('\n'));
} finally {
  await started.close();
  project.end();
}
