import { useEffect, useState } from 'preact/hooks';

import { type Api, told } from './api';
import type { Flow, Mark, Need, Now, Past } from './model';
import { type Subject, queryOf } from './subject';

export type Period = 'minutes' | 'hour';

/** How many points a period has at most: as many as the server keeps. */
const MOST: Record<Period, number> = { minutes: 300, hour: 360 };

/** Marks as old as this are told no more. */
const OLDEST_MARK_MS = 3_600_000;

/** The past of `subject`, which goes on with what happens `now`. */
export function usePast(api: Api, subject: Subject, period: Period, now: Now | undefined): { past: Past | undefined; failure: string | undefined } {
  const [past, setPast] = useState<Past>();
  const [failure, setFailure] = useState<string>();
  const [asked, ask] = useState(0);
  const wish = JSON.stringify([subject, period]);
  useEffect(() => {
    let current = true;
    const query = { ...queryOf(subject), period };
    api.get<Past>('history', query).then(
      (found) => {
        if (current) {
          setPast(found);
          setFailure(undefined);
        }
      },
      (error) => current && setFailure(told(error).what),
    );
    return () => {
      current = false;
    };
  }, [api, wish, asked]);
  // What is shown of another subject goes at once.
  useEffect(() => setPast(undefined), [wish]);
  useEffect(() => {
    if (past === undefined || now === undefined) {
      return;
    }
    const last = past.at_ms.at(-1) ?? 0;
    if (last !== 0 && now.at_ms - last > 3 * past.step_ms + 2000) {
      // Nobody looked for a while, and there is more to it than this moment.
      ask((times) => times + 1);
    } else {
      setPast(wentOn(past, subject, period, now));
    }
  }, [now?.at_ms]);
  return { past, failure };
}

const NOTHING: Flow & Need = {
  calls_per_second: 0,
  remote_per_second: 0,
  failed_per_second: 0,
  in_flight: 0,
  cores: 0,
  memory_bytes: 0,
  ready: 0,
  total: 0,
};

/** `past` with what happens `now`, if that is far enough from its last point. */
export function wentOn(past: Past, subject: Subject, period: Period, now: Now): Past {
  const marks = marksWith(past.marks, now.marks, now.at_ms);
  const last = past.at_ms.at(-1) ?? 0;
  if (now.at_ms - last < past.step_ms * 0.7) {
    return marks === past.marks ? past : { ...past, marks };
  }
  const point: Flow & Partial<Need> = pointOf(subject, now) ?? NOTHING;
  const grown = <T>(column: T[], value: T) => [...column, value].slice(-MOST[period]);
  const { need } = past;
  return {
    ...past,
    at_ms: grown(past.at_ms, now.at_ms),
    calls_per_second: grown(past.calls_per_second, point.calls_per_second),
    remote_per_second: grown(past.remote_per_second, point.remote_per_second),
    failed_per_second: grown(past.failed_per_second, point.failed_per_second),
    p50_us: grown(past.p50_us, point.p50_us ?? null),
    p99_us: grown(past.p99_us, point.p99_us ?? null),
    ...(need === undefined
      ? {}
      : {
          need: {
            cores: grown(need.cores, point.cores ?? 0),
            memory_bytes: grown(need.memory_bytes, point.memory_bytes ?? 0),
            ready: grown(need.ready, point.ready ?? 0),
            total: grown(need.total, point.total ?? 0),
          },
        }),
    marks,
  };
}

function pointOf(subject: Subject, now: Now): (Flow & Partial<Need>) | undefined {
  switch (subject.of) {
    case 'all':
      return now;
    case 'component':
      return now.components.find((one) => one.name === subject.component);
    case 'edge':
      return now.edges.find((one) => one.caller === subject.caller && one.callee === subject.callee);
  }
}

function marksWith(known: Mark[], more: Mark[], nowMs: number): Mark[] {
  const is = (one: Mark) => (other: Mark) => one.at_ms === other.at_ms && one.text === other.text;
  const fresh = more.filter((mark) => !known.some(is(mark)));
  const first = known[0];
  if (fresh.length === 0 && (first === undefined || nowMs - first.at_ms < OLDEST_MARK_MS)) {
    return known;
  }
  return [...known, ...fresh].filter((mark) => nowMs - mark.at_ms < OLDEST_MARK_MS);
}
