// Files of a trial: pictures shown, texts as text, tables as tables, everything else a download.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get } from '../api';
import { bytes, logText, printable } from '../format';
import { m } from '../messages';
import { Copy, Loading, Trouble } from '../parts/ui';
import type { List, TrialDetail } from '../types';

interface FileRow {
  path: string;
  bytes: number;
}

export function fileUrl(base: string, path: string): string {
  return `/api/v1${base}/file?path=${encodeURIComponent(path)}`;
}

const PICTURE = /\.(png|jpe?g|gif|webp)$/i;
const TEXT = /\.(csv|tsv|txt|json|ya?ml|log|md)$/i;

export function Images({ base, trial }: { base: string; trial: TrialDetail }) {
  const pictures = trial.artifacts.filter((artifact) => PICTURE.test(artifact.path)).slice(-12);
  if (!pictures.length) return null;
  return (
    <>
      <h3>{m.trial.images}</h3>
      <div class="thumbs">
        {pictures.map((artifact) => (
          <a key={artifact.path} href={fileUrl(base, artifact.path)} target="_blank" rel="noreferrer">
            <img loading="lazy" src={fileUrl(base, artifact.path)} alt={printable(artifact.name, 100)} />
          </a>
        ))}
      </div>
    </>
  );
}

export function Files({ base, version, trial }: { base: string; version: number; trial: TrialDetail }) {
  const rows = useSignal<FileRow[] | null>(null);
  const next = useSignal<string | null>(null);
  const shown = useSignal<{ path: string; text: string } | null>(null);
  const error = useSignal<unknown>(null);
  const load = async (cursor: string | null) => {
    try {
      const list = await get<List<FileRow>>(`${base}/files${cursor === null ? '' : `?cursor=${encodeURIComponent(cursor)}`}`);
      rows.value = cursor === null ? list.items : [...(rows.value ?? []), ...list.items];
      next.value = list.next;
    } catch (problem) {
      error.value = problem;
    }
  };
  useEffect(() => void load(null), [base, version]);
  const look = async (row: FileRow) => {
    if (row.bytes > 2 << 20) {
      shown.value = { path: row.path, text: m.trial.tooBig };
      return;
    }
    try {
      const response = await fetch(fileUrl(base, row.path), { credentials: 'same-origin' });
      shown.value = { path: row.path, text: await response.text() };
    } catch (problem) {
      error.value = problem;
    }
  };
  if (error.value && !rows.value) return <Trouble error={error.value} />;
  if (!rows.value) return <Loading />;
  const pictures = rows.value.filter((row) => PICTURE.test(row.path)).slice(0, 60);
  return (
    <>
      {pictures.length > 0 && (
        <section class="panel">
          <h2>{m.trial.images}</h2>
          <div class="thumbs">
            {pictures.map((row) => (
              <a key={row.path} href={fileUrl(base, row.path)} target="_blank" rel="noreferrer">
                <img loading="lazy" src={fileUrl(base, row.path)} alt={printable(row.path, 120)} />
              </a>
            ))}
          </div>
        </section>
      )}
      <section class="panel">
        <header><h2>{m.trial.files}</h2></header>
        {rows.value.length === 0 && <p class="dim">{m.trial.noFiles}</p>}
        {rows.value.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label={m.trial.files}>
            <table>
              <tbody>
                {rows.value.map((row) => (
                  <tr key={row.path}>
                    <td class="free mono"><a href={fileUrl(base, row.path)} download={row.path.split('/').pop()}>{printable(row.path, 300)}</a></td>
                    <td class="num">{bytes(row.bytes)}</td>
                    <td>{TEXT.test(row.path) && <button type="button" class="link-button" onClick={() => void look(row)}>{m.trial.table}</button>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        {next.value !== null && <div><button type="button" class="button" onClick={() => void load(next.value)}>{m.more}</button></div>}
        {trial.folder && <p class="note mono wrap">{printable(trial.folder, 500)} <Copy text={trial.folder} label={m.trial.files} /></p>}
      </section>
      {shown.value && <TextFile path={shown.value.path} text={shown.value.text} />}
    </>
  );
}

/** Text as text; tables of commas or tabs as tables. */
function TextFile({ path, text }: { path: string; text: string }) {
  const table = /\.[ct]sv$/i.test(path) ? cells(text, path.toLowerCase().endsWith('.tsv') ? '\t' : ',') : null;
  return (
    <section class="panel">
      <header><h2 class="mono wrap">{printable(path, 300)}</h2><span class="end"><Copy text={text} label={path} /></span></header>
      {table ? (
        <div class="scroll tall" tabIndex={0} role="region" aria-label={printable(path, 200)}>
          <table class="plain">
            <thead><tr>{table[0]?.map((cell, i) => <th key={i} scope="col">{printable(cell, 100)}</th>)}</tr></thead>
            <tbody>{table.slice(1, 501).map((row, i) => <tr key={i}>{row.map((cell, j) => <td key={j}>{printable(cell, 200)}</td>)}</tr>)}</tbody>
          </table>
        </div>
      ) : (
        <div class="code" tabIndex={0} role="region" aria-label={printable(path, 200)}>{logText(text.slice(0, 400_000))}</div>
      )}
    </section>
  );
}

export function cells(text: string, separator: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length && rows.length < 2000; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else if (c === '"') quoted = false;
      else cell += c;
    } else if (c === '"' && cell === '') quoted = true;
    else if (c === separator) {
      row.push(cell);
      cell = '';
    } else if (c === '\n') {
      row.push(cell.replace(/\r$/, ''));
      rows.push(row);
      row = [];
      cell = '';
    } else cell += c;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows;
}

