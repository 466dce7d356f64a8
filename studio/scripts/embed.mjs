// Writes dist/assets.rs: the table by which the binary embeds the built files, each plain and gzipped.
// Output depends on the files only, so that a rebuild can be compared with what is committed.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
const kinds = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Hard stop of the whole page, gzipped. */
const LIMIT = 250 * 1024;

function files(folder, below) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory() ? files(join(folder, entry.name), `${below}${entry.name}/`) : [`${below}${entry.name}`],
    )
    .sort();
}

let total = 0;
const rows = [];
for (const path of files(dist, '')) {
  const kind = kinds[path.split('.').pop()];
  if (!kind) continue;
  const packed = gzipSync(readFileSync(join(dist, path)), { level: constants.Z_BEST_COMPRESSION });
  total += packed.length;
  console.log(`${path}  ${packed.length} bytes gzipped`);
  rows.push(`    ("${path}", "${kind}", include_bytes!("${path}")),`);
}
if (total > LIMIT) throw new Error(`the page has ${total} bytes gzipped, more than ${LIMIT}`);
console.log(`${total} bytes gzipped in all`);
writeFileSync(
  join(dist, 'assets.rs'),
  `// Written by \`studio/scripts/embed.mjs\`: the built page, embedded.\n\n/// Built assets: path, media type, content.\nstatic ASSETS: &[(&str, &str, &[u8])] = &[\n${rows.join('\n')}\n];\n`,
);
