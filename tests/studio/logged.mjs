// What scripts log beyond numbers is drawn on the trial's page: tables, images, confusion matrices, accuracy tables, residuals, predictions.
import { Project, accessible, browser, check, open, picture, until } from './kit.mjs';

const BAD = '<img src=x onerror="window.hacked=1">';
const project = new Project();
const started = await browser();
try {
  project.write(
    'logs.py',
    `
import argparse, json, struct, zlib
from azureml.core.run import Run
p = argparse.ArgumentParser(); p.add_argument('--x', type=float); a = p.parse_args()
run = Run.get_context()
bad = '''${BAD}'''

def png(path):
    def part(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\\0' + bytes([x * 8 % 256, y * 8 % 256, 90] * 1)[:3] * 24 for y in range(24) for x in [y])
    with open(path, 'wb') as f:
        f.write(b'\\x89PNG\\r\\n\\x1a\\n' + part(b'IHDR', struct.pack('>IIBBBBB', 24, 24, 8, 2, 0, 0, 0)) + part(b'IDAT', zlib.compress(rows)) + part(b'IEND', b''))

run.log_table('per class', {'class': ['cat', bad, 'dog'], 'f1': [0.5, 0.75, 0.987654321]})
for epoch in range(3):
    run.log_row('rows', epoch=epoch, loss=1 / (epoch + 1))
png('plot.png')
run.log_image('a plot', path='plot.png')
run.log_confusion_matrix('confusion', {'schema_type': 'confusion_matrix', 'schema_version': '1.0.0', 'data': {'class_labels': ['cat', bad, 'dog'], 'matrix': [[41, 2, 0], [3, 37, 1], [0, 5, 44]]}})
run.log_accuracy_table('accuracy', {'schema_type': 'accuracy_table', 'schema_version': '1.0.1', 'data': {
    'probability_tables': [[[50, 40, 10, 0], [45, 12, 38, 5], [20, 1, 49, 30], [0, 0, 50, 50]], [[50, 40, 10, 0], [40, 15, 35, 10], [0, 0, 50, 50]]],
    'percentile_tables': [], 'probability_thresholds': [0, 0.3, 0.7, 1], 'percentile_thresholds': [], 'class_labels': ['cat', 'dog']}})
run.log_residuals('residuals', {'schema_type': 'residuals', 'schema_version': '1.0.0', 'data': {'bin_edges': [-2, -1, 0, 1, 2], 'bin_counts': [3, 9, 11, 2], 'mean': 0.05, 'stddev': 0.9, 'res_count': 25}})
run.log_predictions('predictions', {'schema_type': 'predictions', 'schema_version': '1.0.0', 'data': {'bin_averages': [1.1, 2.2, 2.9], 'bin_errors': [0.1, 0.2, 0.1], 'bin_counts': [5, 6, 5], 'bin_edges': [0.5, 1.5, 2.5, 3.5]}})
run.upload_file('broken.json', __file__)
run.log('score', a.x)
`,
  );
  project.write('hdconfig.yml', 'sampling:\n  type: random\n  parameter_space:\n    - name: --x\n      expression: uniform\n      values: [0, 1]\nprimary_metric_name: score\nprimary_metric_goal: maximize\nmax_total_runs: 2\nmax_concurrent_runs: 2\n');
  const studio = await project.studio('--port', '0');
  const code = await project.run('hdconfig.yml', 'logs.py').ended;
  check('the script runs', code === 0, project.children.map((child) => child.words).join('\n'));
  const id = JSON.parse(project.command('list', '--json')).items[0].sweep;
  const page = await open(started, studio);
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(`${studio.base}/sweeps/${id}/trials/0/metrics`);
    const shown = page.getByRole('region', { name: 'what the script logged' });
    await shown.getByRole('heading', { name: 'predictions', exact: true }).waitFor();
    const wanted = ['per class', '0.9877', 'rows', 'confusion matrix', 'was ↓ said →', '122 of 133 right', 'ROC', 'precision and recall', 'residuals', 'stddev 0.9'];
    // Each part is read from a file of its own.
    await until('all that was logged', () => shown.innerText().then((text) => wanted.every((word) => text.includes(word))));
    const words = await shown.innerText();
    for (const word of wanted) check(`${scheme}: logged "${word}"`, words.includes(word), words);
    check(`${scheme}: a script's words stay words`, words.includes(BAD) && !(await page.evaluate(() => window.hacked)) && (await page.locator('main img[src=x]').count()) === 0);
    await accessible(page, `what a script logged, ${scheme}`);
    await picture(page, `trial-logged-${scheme}`);
  }
  await until('four charts are drawn of it', async () => (await page.getByRole('img', { name: /ROC|precision|residuals|predictions/ }).count()) === 4);
  await page.goto(`${studio.base}/sweeps/${id}/trials/0`);
  const image = page.getByRole('img', { name: 'plot.png' });
  await image.waitFor();
  await until('the image', () => image.evaluate((element) => element.complete && element.naturalWidth === 24));
  check('a logged image is shown', true);
  check('the browser had nothing to complain about', page.complaints.length === 0, page.complaints.join('\n'));
} finally {
  await started.close();
  project.end();
}
