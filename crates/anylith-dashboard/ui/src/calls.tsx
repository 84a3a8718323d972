import { useEffect, useState } from 'preact/hooks';

import { type Api, told } from './api';
import { clock, time } from './figures';
import { Choice, useSettled } from './filters';
import { count } from './kind';
import type { Graph, TraceSummary } from './model';
import { TraceSheet } from './trace-sheet';

interface Props {
  api: Api;
  graph: Graph | undefined;
  /** What is looked for at first, and the trace that is open. */
  wish: URLSearchParams;
}

/** How often it is looked for new ones. */
const LOOK_MS = 2000;

/** So many are shown, the newest. */
const LIMIT = '100';

const LENGTHS = ['1ms', '10ms', '50ms', '100ms', '500ms', '1s', '5s'];

const KEPT: Record<TraceSummary['kept'], string> = {
  sampled: 'chosen',
  failed: 'failed',
  slow: 'slow',
  related: 'with another',
};

interface Found {
  traces: TraceSummary[];
  more: boolean;
}

/** The traces of calls, and each of them as a waterfall. */
export function Calls({ api, graph, wish }: Props) {
  const [text, setText] = useState(wish.get('text') ?? '');
  const [edge, setEdge] = useState(wish.get('edge') ?? '');
  const [min, setMin] = useState(wish.get('min') ?? '');
  const [failed, setFailed] = useState(wish.get('failed') === 'true');
  const [paused, setPaused] = useState(false);
  const [open, setOpen] = useState<string | undefined>(wish.get('id') ?? undefined);
  const sought = useSettled(text);
  const { found, failure } = useTraces(api, { text: sought, edge, min, failed: failed ? 'true' : '', limit: LIMIT }, paused);
  const edges = graph?.components.flatMap(({ name, dependencies }) => dependencies.map((other) => `${name}->${other}`)) ?? [];
  const longest = Math.max(1, ...(found?.traces.map((trace) => trace.duration_ns) ?? []));
  return (
    <main class="calls">
      <header class="heading">
        <div>
          <h1>Calls</h1>
          <p>{found === undefined ? 'traces that were kept' : `${count(found.traces.length, 'trace')}, the newest first${found.more ? '; there are more' : ''}`}</p>
        </div>
        <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
          <label>
            Text <input type="search" name="text" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          <Choice name="edge" title="Edge" value={edge} set={setEdge} all="any" options={edges} />
          <Choice
            name="min"
            title="At least"
            value={min}
            set={setMin}
            all="any length"
            options={min === '' || LENGTHS.includes(min) ? LENGTHS : [min, ...LENGTHS]}
          />
          <label>
            <input type="checkbox" name="failed" checked={failed} onChange={(event) => setFailed(event.currentTarget.checked)} /> Failed
          </label>
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? '▶ Follow' : '❚❚ Pause'}
          </button>
        </form>
      </header>
      {failure !== undefined && <p class="wrong">✕ {failure}</p>}
      {found?.traces.length === 0 && <p class="quiet">No trace fits yet.</p>}
      {found !== undefined && found.traces.length > 0 && (
        <table class="traces">
          <thead>
            <tr>
              <th scope="col">Began</th>
              <th scope="col">What</th>
              <th scope="col">Took</th>
              <th scope="col">Calls</th>
              <th scope="col">Through</th>
              <th scope="col">Kept as</th>
            </tr>
          </thead>
          <tbody>
            {found.traces.map((trace) => (
              <tr key={trace.id} data-trace={trace.id} class={trace.failed_count > 0 ? 'failing' : ''}>
                <td>
                  <time dateTime={new Date(trace.begun_us / 1000).toISOString()}>{clock(trace.begun_us / 1000)}</time>
                </td>
                <th scope="row">
                  <button type="button" class="plain link" onClick={() => setOpen(trace.id)}>
                    {trace.name}
                  </button>
                </th>
                <td class="took">
                  <span class="bar" style={{ width: `${(100 * trace.duration_ns) / longest}%` }} aria-hidden="true" />
                  <span>{time(trace.duration_ns / 1000)}</span>
                </td>
                <td>
                  {trace.span_count}
                  {trace.failed_count > 0 && <b class="failed"> ✕ {trace.failed_count} failed</b>}
                </td>
                <td class="quiet through">{trace.components.join(', ')}</td>
                <td class="quiet">{KEPT[trace.kept] ?? trace.kept}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {open !== undefined && <TraceSheet key={open} api={api} id={open} close={() => setOpen(undefined)} />}
    </main>
  );
}

/** The traces that fit, asked for again and again. */
function useTraces(api: Api, query: Record<string, string>, paused: boolean): { found: Found | undefined; failure: string | undefined } {
  const [found, setFound] = useState<Found>();
  const [failure, setFailure] = useState<string>();
  const wish = JSON.stringify(query);
  useEffect(() => {
    if (paused) {
      return;
    }
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      try {
        // Nobody sees a page that is hidden, and reading all that is kept takes its time.
        if (!document.hidden) {
          const traces = await api.get<Found>('traces', JSON.parse(wish) as Record<string, string>);
          if (current) {
            setFound(traces);
            setFailure(undefined);
          }
        }
      } catch (error) {
        if (current) {
          setFailure(told(error).what);
        }
      }
      if (current) {
        timer = setTimeout(() => void look(), LOOK_MS);
      }
    };
    void look();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [api, wish, paused]);
  return { found, failure };
}
