import { useEffect, useState } from 'preact/hooks';

import type { Api } from './api';
import { Charts, NothingCounted, PeriodChoice } from './charts';
import { Dialog } from './dialog';
import { type EdgeName, REACH, reach } from './edges';
import { Fact } from './fact';
import { bytes, percent, plain, rate, time } from './figures';
import type { EdgeDetail, EdgeSettings, Failure, Flow, State } from './model';
import type { Numbers } from './numbers';
import { type Period, usePast } from './past';
import { timeOf } from './subject';

interface Props {
  edge: EdgeName;
  api: Api;
  state: State;
  numbers: Numbers;
  open: (component: string) => void;
  close: () => void;
}

/** One edge: what goes along it now, method by method, and how that went. */
export function EdgeSheet({ edge, api, state, numbers, open, close }: Props) {
  const { caller, callee } = edge;
  const [period, setPeriod] = useState<Period>('minutes');
  const { past, failure } = usePast(api, { of: 'edge', ...edge }, period, numbers.now);
  const detail = useDetail(api, edge, numbers.now?.at_ms);
  const now = numbers.edge(caller, callee);
  const verdict = numbers.verdict(caller, callee);
  return (
    <Dialog title={`${caller} → ${callee}`} sheet close={close}>
      <p>
        <Name name={caller} open={open} /> is dependent on <Name name={callee} open={open} />, {REACH[reach(state.status.groups, caller, callee)]}
      </p>
      {numbers.now !== undefined && !numbers.counted && <NothingCounted />}
      {numbers.counted && (
        <p class={`verdict ${verdict?.tone ?? 'idle'}`}>
          {verdict === undefined ? 'Nobody calls along it now.' : `${verdict.mark} ${verdict.text || 'All is well.'}`.trim()}
        </p>
      )}
      <dl class="facts figures">
        <Fact title="Calls" value={rate(now?.calls_per_second ?? 0)} />
        <Fact title="To other processes" value={shareOf(now)} />
        <Fact title="p50 · p99" value={`${time(now?.p50_us)} · ${time(now?.p99_us)}`} />
        <Fact title="Waiting for an answer" value={plain(now?.in_flight ?? 0)} />
        <Fact title="Failed" value={rate(now?.failed_per_second ?? 0)} />
      </dl>
      <Failures flow={now} />
      <Set settings={detail?.settings ?? []} />
      <section>
        <header class="beside">
          <h3>Over time</h3>
          <PeriodChoice period={period} choose={setPeriod} />
        </header>
        {failure !== undefined && <p class="wrong">✕ {failure}</p>}
        {past !== undefined && past.at_ms.length > 0 && <Charts past={past} period={period} small />}
        <p class="links">
          <a href={tracesOf(edge, { failed: 'true' })} onClick={close}>
            Failed traces
          </a>
          <a href={tracesOf(edge, { min: slowFrom(now) })} onClick={close}>
            Slow traces
          </a>
          <a href={tracesOf(edge, {})} onClick={close}>
            All traces
          </a>
          <a href={timeOf({ of: 'edge', ...edge })} onClick={close}>
            In the view Time, with what has happened
          </a>
        </p>
      </section>
      <Methods detail={detail} />
    </Dialog>
  );
}

/** The view Calls, with the traces that go along an edge. */
function tracesOf({ caller, callee }: EdgeName, more: Record<string, string>): string {
  return `#/calls?${new URLSearchParams({ edge: `${caller}->${callee}`, ...more })}`;
}

/** What is slow on an edge: what one of a hundred calls takes now; but where that is much, a tenth of a second. */
function slowFrom(flow: Flow | undefined): string {
  const slow = Math.min(100_000, flow?.p99_us ?? 100_000);
  return slow >= 1000 ? `${Math.round(slow / 1000)}ms` : `${Math.max(1, Math.round(slow))}us`;
}

function Name({ name, open }: { name: string; open: (component: string) => void }) {
  return (
    <button type="button" class="plain link inline" onClick={() => open(name)}>
      {name}
    </button>
  );
}

function shareOf(flow: Flow | undefined): string {
  return flow === undefined || flow.calls_per_second === 0 ? '–' : percent(flow.remote_per_second / flow.calls_per_second);
}

/** How calls fail, in words. */
const FAILURES: Record<Failure, string> = {
  erred: 'answered with an error of the callee',
  not_executed: 'not executed: the callee did nothing',
  unknown: 'unknown: the answer was lost, or came too late',
  executed: 'executed, but it panicked or its answer was of no use',
  cancelled: 'given up by the caller',
};

function Failures({ flow }: { flow: Flow | undefined }) {
  const all = Object.entries(flow?.failures ?? {}) as [Failure, number][];
  return all.length === 0 ? null : (
    <section>
      <h3>Failures by kind</h3>
      <ul class="failures">
        {all.map(([kind, perSecond]) => (
          <li key={kind} data-failure={kind}>
            <b>{rate(perSecond)}</b> {FAILURES[kind] ?? kind}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Set({ settings }: { settings: EdgeSettings[] }) {
  return settings.length === 0 ? null : (
    <section>
      <h3>Set in anylith.toml</h3>
      <ul class="methods">
        {settings.map((one) => (
          <li key={one.method ?? ''}>
            <code>{one.method ?? 'every method'}</code> <span class="quiet">{wordsOf(one)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function wordsOf({ timeout_ms: timeout, retries_percent: retries, hedge_ms: hedge, concurrency }: EdgeSettings): string {
  const words = [
    timeout == null ? '' : `deadline ${time(timeout * 1000)}`,
    retries === undefined ? '' : `${retries} retries for a hundred calls`,
    hedge === undefined ? '' : `a second attempt after ${time(hedge * 1000)}`,
    concurrency === undefined ? '' : `${concurrency} at a time`,
  ];
  return words.filter(Boolean).join(', ');
}

function Methods({ detail }: { detail: EdgeDetail | undefined }) {
  if (detail === undefined || detail.methods.length === 0) {
    return null;
  }
  return (
    <section>
      <h3>Methods</h3>
      <div class="scrolls" tabindex={0} role="region" aria-label="Methods, with what goes to them now">
        <table class="numbers">
          <thead>
            <tr>
              <th scope="col">Method</th>
              <th scope="col">Calls</th>
              <th scope="col">Failed</th>
              <th scope="col">p50</th>
              <th scope="col">p90</th>
              <th scope="col">p99</th>
              <th scope="col">Again</th>
              <th scope="col">Sent</th>
              <th scope="col">Received</th>
              <th scope="col">In all</th>
            </tr>
          </thead>
          <tbody>
            {detail.methods.map((method) => (
              <tr key={method.method} data-method={method.method}>
                <th scope="row">
                  <code>{method.method}</code>
                </th>
                <td>{rate(method.calls_per_second)}</td>
                <td>{rate(method.failed_per_second)}</td>
                <td>{time(method.p50_us)}</td>
                <td>{time(method.p90_us)}</td>
                <td>{time(method.p99_us)}</td>
                <td title="Attempts after a failure, or beside a slow one">{rate(method.retries_per_second + method.hedges_per_second)}</td>
                <td>{bytes(method.sent_bytes_per_second)}/s</td>
                <td>{bytes(method.received_bytes_per_second)}/s</td>
                <td>{method.calls.toLocaleString('en')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** What goes along the edge, asked for anew with each moment. */
function useDetail(api: Api, { caller, callee }: EdgeName, atMs: number | undefined): EdgeDetail | undefined {
  const [detail, setDetail] = useState<EdgeDetail>();
  useEffect(() => {
    let current = true;
    const found = api.get<EdgeDetail>(`edges/${encodeURIComponent(caller)}/${encodeURIComponent(callee)}`);
    // Without it there is still what goes along the edge as a whole.
    found.then((told) => current && setDetail(told), () => {});
    return () => {
      current = false;
    };
  }, [api, caller, callee, atMs]);
  return detail;
}
