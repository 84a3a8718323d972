import { useMemo, useState } from 'preact/hooks';

import { type Axis, Chart, MARKS, type Series, nearest } from './chart';
import { bytes, clock, cores, rate, time } from './figures';
import { count } from './kind';
import type { Mark, Past } from './model';
import type { Period } from './past';

const PERIODS: Record<Period, { word: string; ms: number }> = {
  minutes: { word: '5 minutes', ms: 300_000 },
  hour: { word: '1 hour', ms: 3_600_000 },
};

export function NothingCounted() {
  return (
    <p class="quiet">
      Nothing is counted: <code>[telemetry] metrics</code> in anylith.toml is <code>"off"</code>.
    </p>
  );
}

export function PeriodChoice({ period, choose }: { period: Period; choose: (period: Period) => void }) {
  return (
    <span class="choice" role="group" aria-label="How far back">
      {(Object.keys(PERIODS) as Period[]).map((one) => (
        <button key={one} type="button" aria-pressed={one === period} onClick={() => choose(one)}>
          {PERIODS[one].word}
        </button>
      ))}
    </span>
  );
}

/** A chart, before it is known how it went. */
interface Plan {
  title: string;
  lines: (past: Past) => Series[];
  read: (value: number | null) => string;
  least: number;
  base?: number;
}

const orNone = (read: (value: number) => string) => (value: number | null) => (value === null ? '–' : read(value));

const OF_CALLS: Plan[] = [
  {
    title: 'Calls',
    lines: (past) => [
      { name: 'all', values: past.calls_per_second, look: 'solid' },
      { name: 'to other processes', values: past.remote_per_second, look: 'dashed' },
    ],
    read: orNone(rate),
    least: 1,
  },
  {
    title: 'Latency',
    lines: (past) => [
      { name: 'p50', values: past.p50_us, look: 'solid' },
      { name: 'p99', values: past.p99_us, look: 'dashed' },
    ],
    read: time,
    least: 10,
  },
  {
    title: 'Failed',
    lines: (past) => [{ name: 'calls', values: past.failed_per_second, look: 'bad' }],
    read: orNone(rate),
    least: 1,
  },
];

const OF_PROCESSES: Plan[] = [
  { title: 'CPU', lines: (past) => [{ name: 'busy', values: past.need?.cores ?? [], look: 'solid' }], read: orNone(cores), least: 0.1 },
  {
    title: 'Memory',
    lines: (past) => [{ name: 'resident', values: past.need?.memory_bytes ?? [], look: 'solid' }],
    read: orNone(bytes),
    least: 1024 ** 2,
    base: 1024 ** 2,
  },
  {
    title: 'Replicas',
    lines: (past) => [
      { name: 'ready', values: past.need?.ready ?? [], look: 'solid' },
      { name: 'all', values: past.need?.total ?? [], look: 'dashed' },
    ],
    read: orNone(String),
    least: 2,
  },
];

/** The charts of one past, with one cursor through all of them. */
export function Charts({ past, period, small = false }: { past: Past; period: Period; small?: boolean }) {
  // The moment that is looked at stays the same while time goes on.
  const [moment, setMoment] = useState<number>();
  const axis = axisOf(past, period);
  const marks = past.marks.filter((mark) => mark.at_ms >= axis.from);
  const plans = past.need === undefined ? OF_CALLS : [...OF_CALLS, ...OF_PROCESSES];
  const at = past.at_ms;
  const point = (place: number | undefined) => setMoment(place === undefined ? undefined : at[place]);
  const place = moment === undefined ? undefined : nearest(at, moment);
  return (
    <>
      <div class={small ? 'charts small' : 'charts'}>
        {plans.map(({ title, lines, read, least, base }) => (
          <Chart
            key={title}
            title={title}
            series={lines(past)}
            at={at}
            axis={axis}
            marks={marks}
            cursor={place}
            read={read}
            least={least}
            {...(base === undefined ? {} : { base })}
            point={point}
          />
        ))}
      </div>
      <Timeline past={past} plans={plans} axis={axis} marks={marks} cursor={place} point={point} />
      {!small && <Events marks={marks} point={(mark) => setMoment(mark.at_ms)} />}
      <AsTable past={past} plans={plans} />
    </>
  );
}

const LEAST_MS = 60_000;

/** As far back as is known, within the period; but never less than a minute, or the first seconds would look like much. */
function axisOf({ at_ms: at }: Past, period: Period): Axis {
  const to = at.at(-1) ?? Date.now();
  const known = to - (at[0] ?? to);
  return { from: to - Math.min(PERIODS[period].ms, Math.max(LEAST_MS, known)), to };
}

interface TimelineProps {
  past: Past;
  plans: Plan[];
  axis: Axis;
  marks: Mark[];
  cursor: number | undefined;
  point: (place: number | undefined) => void;
}

/** The axis of all charts, with the marks on it. Its arrow keys move the cursor, and what was then is read out. */
function Timeline({ past, plans, axis, marks, cursor, point }: TimelineProps) {
  const { at_ms: at } = past;
  const last = at.length - 1;
  const place = cursor ?? last;
  const left = (ms: number) => `${(100 * (ms - axis.from)) / (axis.to - axis.from)}%`;
  const key = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -at.length, End: at.length }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      point(Math.min(last, Math.max(0, place + step)));
    } else if (event.key === 'Escape' && cursor !== undefined) {
      event.stopPropagation();
      point(undefined);
    }
  };
  return (
    <div
      class="timeline"
      role="slider"
      tabindex={0}
      aria-label="Moment"
      aria-valuemin={0}
      aria-valuemax={last}
      aria-valuenow={place}
      aria-valuetext={said(past, plans, place)}
      title="The arrow keys go back and forth"
      onKeyDown={key}
      onBlur={() => point(undefined)}
    >
      {marks.map((mark) => (
        <span key={`${mark.at_ms} ${mark.text}`} class={`mark ${mark.kind}`} title={`${clock(mark.at_ms)} ${mark.text}`} style={{ left: left(mark.at_ms) }}>
          {MARKS[mark.kind]?.mark ?? '·'}
        </span>
      ))}
      {[0, 0.25, 0.5, 0.75, 1].map((part) => (
        <time key={part} style={{ left: `${part * 100}%` }}>
          {clock(axis.from + part * (axis.to - axis.from)).slice(0, axis.to - axis.from > 1_800_000 ? 5 : 8)}
        </time>
      ))}
      {cursor !== undefined && at[place] !== undefined && (
        <output style={{ left: left(at[place]) }}>{clock(at[place])}</output>
      )}
    </div>
  );
}

/** What was at a moment, in words. */
function said(past: Past, plans: Plan[], place: number): string {
  const values = plans.flatMap(({ title, lines, read }) =>
    lines(past).map(({ name, values }) => `${title} ${name} ${read(values[place] ?? null)}`),
  );
  return [clock(past.at_ms[place] ?? 0), ...values].join(', ');
}

/** What has happened, the newest first. */
function Events({ marks, point }: { marks: Mark[]; point: (mark: Mark) => void }) {
  return (
    <section class="happened" aria-label="What has happened">
      <h2>{marks.length === 0 ? 'Nothing has happened' : 'What has happened'}</h2>
      <ol>
        {[...marks].reverse().map((mark) => (
          <li key={`${mark.at_ms} ${mark.text}`} class={mark.kind}>
            <button type="button" class="plain" onClick={() => point(mark)} title="Shows it in the charts">
              <time dateTime={new Date(mark.at_ms).toISOString()}>{clock(mark.at_ms)}</time>
              <span class="mark" aria-hidden="true">
                {MARKS[mark.kind]?.mark ?? '·'}
              </span>
              <b>{MARKS[mark.kind]?.word ?? 'event'}</b>
              <span class="text">{mark.text}</span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** So many rows has the table, evenly out of all. */
const ROWS = 60;

/** The same as numbers in a table, for who cannot see charts, or wants to copy them. */
function AsTable({ past, plans }: { past: Past; plans: Plan[] }) {
  const [open, setOpen] = useState(false);
  const columns = plans.flatMap(({ title, lines, read }) => lines(past).map((line) => ({ ...line, title, read })));
  const step = Math.max(1, Math.ceil(past.at_ms.length / ROWS));
  const places = useMemo(() => past.at_ms.map((_, place) => place).filter((place) => (past.at_ms.length - 1 - place) % step === 0).reverse(), [past, step]);
  return (
    <details class="as-table" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>As a table</summary>
      {open && (
        <div class="scrolls" tabindex={0} role="region" aria-label="The numbers as a table">
          <table>
            <caption>{count(places.length, 'moment')}, the newest first</caption>
            <thead>
              <tr>
                <th scope="col">Time</th>
                {columns.map(({ title, name }) => (
                  <th key={`${title} ${name}`} scope="col">
                    {title}, {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {places.map((place) => (
                <tr key={past.at_ms[place]}>
                  <th scope="row">{clock(past.at_ms[place] ?? 0)}</th>
                  {columns.map(({ title, name, values, read }) => (
                    <td key={`${title} ${name}`}>{read(values[place] ?? null)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
