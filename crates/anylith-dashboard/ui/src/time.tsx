import { useState } from 'preact/hooks';

import type { Api } from './api';
import { Charts, NothingCounted, PeriodChoice } from './charts';
import { edgeKey } from './edges';
import type { Graph } from './model';
import type { Numbers } from './numbers';
import { type Period, usePast } from './past';
import { type Subject, nameOf, subjectOf } from './subject';

interface Props {
  api: Api;
  numbers: Numbers;
  graph: Graph | undefined;
  subject: Subject;
  choose: (subject: Subject) => void;
}

/** How it went in the last hour, with what has happened meanwhile. */
export function Time({ api, numbers, graph, subject, choose }: Props) {
  const [period, setPeriod] = useState<Period>('hour');
  const { past, failure } = usePast(api, subject, period, numbers.now);
  return (
    <main class="time">
      <header class="heading">
        <div>
          <h1>Time</h1>
          <p>{aboutOf(subject)}</p>
        </div>
        <form class="filters" onSubmit={(event) => event.preventDefault()}>
          <label>
            Of{' '}
            <select name="subject" value={nameOf(subject)} onChange={(event) => choose(subjectOf(event.currentTarget.value))}>
              <option value="">the application</option>
              <optgroup label="Components">
                {graph?.components.map(({ name }) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </optgroup>
              <optgroup label="Edges">
                {graph?.components.flatMap(({ name, dependencies }) =>
                  dependencies.map((other) => (
                    <option key={edgeKey(name, other)} value={edgeKey(name, other)}>
                      {name} → {other}
                    </option>
                  )),
                )}
              </optgroup>
            </select>
          </label>
          <PeriodChoice period={period} choose={setPeriod} />
        </form>
      </header>
      {failure !== undefined && <p class="wrong">✕ {failure}</p>}
      {numbers.now !== undefined && !numbers.counted && <NothingCounted />}
      {past === undefined ? <p class="quiet">Asking…</p> : past.at_ms.length === 0 ? <p class="quiet">The first point comes within ten seconds.</p> : <Charts past={past} period={period} />}
    </main>
  );
}

function aboutOf(subject: Subject): string {
  switch (subject.of) {
    case 'all':
      return 'calls between components, and what all processes need';
    case 'component':
      return `calls of ${subject.component}, and what it needs`;
    case 'edge':
      return `calls of ${subject.callee} by ${subject.caller}`;
  }
}
