// Writes dist/assets.rs: the table by which the binary embeds the built files, each plain and packed (brotli, gzip, in ../packed).
// Output depends on the files only, so that a rebuild can be compared with what is committed: a packed file that still unpacks to its
// content stays as it is, whatever another version of the packer would make of it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
const packed = new URL('../packed/', import.meta.url).pathname;
const kinds = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
const packers = {
  br: [
    (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
    brotliDecompressSync,
  ],
  gz: [(bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }), gunzipSync],
};

/** Hard stops of the whole page and of what the first view loads, gzipped. */
const LIMIT = 250 * 1024;
const FIRST_LIMIT = 90 * 1024;

function files(folder, below) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory() ? files(join(folder, entry.name), `${below}${entry.name}/`) : [`${below}${entry.name}`],
    )
    .sort();
}

function keep(path, content, suffix) {
  const [pack, unpack] = packers[suffix];
  const place = join(packed, `${path}.${suffix}`);
  try {
    const known = readFileSync(place);
    if (unpack(known).equals(content)) return known;
  } catch {
    // Not there, or of another content.
  }
  const made = pack(content);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, made);
  return made;
}

let total = 0;
let first = 0;
const rows = [];
const wanted = new Set();
for (const path of files(dist, '')) {
  const kind = kinds[path.split('.').pop()];
  if (!kind) continue;
  const content = readFileSync(join(dist, path));
  const sizes = Object.keys(packers).map((suffix) => {
    wanted.add(`${path}.${suffix}`);
    return [suffix, keep(path, content, suffix).length];
  });
  const gz = sizes.find(([suffix]) => suffix === 'gz')[1];
  total += gz;
  if (!path.includes('worker')) first += gz;
  console.log(`${path}  ${content.length} bytes, ${sizes.map(([suffix, size]) => `${size} ${suffix}`).join(', ')}`);
  rows.push(
    `    Asset {\n        path: "${path}",\n        kind: "${kind}",\n        plain: include_bytes!("${path}"),\n        br: include_bytes!("../packed/${path}.br"),\n        gz: include_bytes!("../packed/${path}.gz"),\n    },`,
  );
}
for (const path of files(packed, '')) if (!wanted.has(path)) rmSync(join(packed, path));
if (total > LIMIT) throw new Error(`the page has ${total} bytes gzipped, more than ${LIMIT}`);
if (first > FIRST_LIMIT) throw new Error(`the first view loads ${first} bytes gzipped, more than ${FIRST_LIMIT}`);
console.log(`${total} bytes gzipped in all, ${first} for the first view`);
writeFileSync(
  join(dist, 'assets.rs'),
  `// Written by \`studio/scripts/embed.mjs\`: the built page, embedded.\n\n/// Built assets.\nstatic ASSETS: &[Asset] = &[\n${rows.join('\n')}\n];\n`,
);
