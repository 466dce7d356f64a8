// The real `mlflow` client (mlflow-skinny, in a virtual environment of its own) reads a sweep from the studio.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Project, config } from './kit.mjs';

const cache = join(process.env.OVERDRIVE_TEST_CACHE ?? new URL('../../target/test-cache', import.meta.url).pathname, 'mlflow-read');
const python = process.env.MLFLOW_PYTHON ?? join(cache, 'bin/python');
if (!existsSync(python)) {
  execFileSync('python3', ['-m', 'venv', cache], { stdio: 'inherit' });
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'mlflow-skinny'], { stdio: 'inherit' });
}
const project = new Project();
try {
  project.write('hdconfig.yml', config({ total: 12 }));
  await project.run('hdconfig.yml', 'train.py', ['-e', 'digits']).ended;
  const studio = await project.studio('--port', '0');
  execFileSync(python, [new URL('mlflow_read.py', import.meta.url).pathname, 'digits', '12'], {
    stdio: 'inherit',
    timeout: 600_000,
    env: { ...process.env, MLFLOW_TRACKING_URI: studio.base, MLFLOW_TRACKING_TOKEN: readFileSync(join(project.folder, '.overdrive/studio.token'), 'utf8').trim() },
  });
} finally {
  project.end();
}
