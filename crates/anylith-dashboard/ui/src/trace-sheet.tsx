import { useEffect, useState } from 'preact/hooks';

import { type Api, told } from './api';
import { Dialog } from './dialog';
import { Fact } from './fact';
import { clock, time } from './figures';
import { count } from './kind';
import type { Trace, TraceSpan } from './model';

/** One trace as a waterfall: what caused what, when it began and how long it took. */
export function TraceSheet({ api, id, close }: { api: Api; id: string; close: () => void }) {
  const [trace, setTrace] = useState<Trace>();
  const [failure, setFailure] = useState<string>();
  const [chosen, choose] = useState<string>();
  useEffect(() => {
    let current = true;
    api.get<Trace>(`traces/${encodeURIComponent(id)}`).then(
      (found) => current && setTrace(found),
      (error) => current && setFailure(told(error).what),
    );
    return () => {
      current = false;
    };
  }, [api, id]);
  return (
    <Dialog title={trace?.name ?? 'Trace'} sheet wide close={close}>
      <p class="quiet">
        <code>{id}</code>
      </p>
      {failure !== undefined && <p class="wrong">✕ {failure}</p>}
      {trace !== undefined && (
        <>
          <p>
            Began at {clock(trace.begun_us / 1000)}, took {time(trace.duration_ns / 1000)}: {count(trace.span_count, 'span')} in{' '}
            {count(trace.components.length, 'component')}
            {trace.failed_count > 0 && <b class="failed"> · ✕ {trace.failed_count} failed</b>}
          </p>
          <ol class="waterfall" aria-label="Spans, each right before those that it has caused">
            {trace.spans.map((span) => (
              <Row
                key={span.id}
                span={span}
                whole={trace.duration_ns}
                open={chosen === span.id}
                choose={() => choose(chosen === span.id ? undefined : span.id)}
              />
            ))}
          </ol>
          <p>
            <a href={`#/logs?trace=${id}`} onClick={close}>
              What was logged for it
            </a>
          </p>
          {trace.cut && <p class="quiet">There are more spans than these.</p>}
        </>
      )}
    </Dialog>
  );
}

const KINDS: Record<TraceSpan['kind'], { mark: string; word: string }> = {
  request: { mark: '⇢', word: 'request from outside' },
  client: { mark: '→', word: 'call to another process' },
  server: { mark: '⇥', word: 'the same, where it was answered' },
  local: { mark: '·', word: 'call within the process' },
};

interface RowProps {
  span: TraceSpan;
  /** How long the trace took, in nanoseconds. */
  whole: number;
  open: boolean;
  choose: () => void;
}

function Row({ span, whole, open, choose }: RowProps) {
  const { mark, word } = KINDS[span.kind] ?? { mark: '?', word: span.kind };
  const left = (100 * span.offset_ns) / Math.max(1, whole);
  const width = (100 * span.duration_ns) / Math.max(1, whole);
  const how = span.failed ? `✕ ${span.outcome}` : '';
  const began = time(span.offset_ns / 1000);
  const took = time(span.duration_ns / 1000);
  return (
    <li class={`${span.kind} ${span.failed ? 'failing' : ''}`} data-span={span.id}>
      <button
        type="button"
        class="plain"
        aria-expanded={open}
        aria-label={`${span.name}, ${word}, began after ${began}, took ${took}, ${span.outcome}`}
        onClick={choose}
      >
        <span class="what" style={{ 'padding-left': `${Math.min(12, span.depth) * 0.9}rem` }}>
          <span class="mark" aria-hidden="true">
            {mark}
          </span>{' '}
          {span.name}
        </span>
        <span class="lane">
          <span class="bar" style={{ left: `${Math.min(left, 99.5)}%`, width: `max(2px, ${Math.min(width, 100 - left)}%)` }} />
        </span>
        <span class="long">
          {took} {how}
        </span>
      </button>
      {open && (
        <dl class="facts">
          <Fact title="What" value={word} />
          {span.caller !== undefined && <Fact title="Edge" value={`${span.caller} → ${span.component}`} />}
          {span.replica !== undefined && <Fact title="Replica" value={span.replica} />}
          <Fact title="Began after" value={began} />
          <Fact title="Took" value={took} />
          <Fact title="Ended" value={span.status === undefined ? span.outcome : `${span.outcome}, status ${span.status}`} />
          {span.repeats > 0 && <Fact title="Made once more" value={count(span.repeats, 'time')} />}
          {span.error !== undefined && <Fact title="Error" value={span.error} />}
          {span.orphan === true && <Fact title="Caused by" value="something that is not kept" />}
        </dl>
      )}
    </li>
  );
}
