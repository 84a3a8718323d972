import { useEffect, useState } from 'preact/hooks';

import type { Api } from './api';
import type { EdgeName } from './edges';
import { LogList, Line } from './log-list';
import type { LogLine, State } from './model';
import type { Numbers } from './numbers';
import { type Gravity, type Problem, problemsOf } from './problems';

const MARK: Record<Gravity, string> = { failing: '✕', warning: '!', waiting: '…' };

interface Props {
  api: Api;
  state: State;
  numbers: Numbers;
  openEdge: (edge: EdgeName) => void;
}

/** What is wrong now, in words. */
export function Problems({ api, state, numbers, openEdge }: Props) {
  const problems = problemsOf(state, numbers);
  return (
    <main class="problems">
      <header class="heading">
        <div>
          <h1>{problems.length === 0 ? 'Nothing is wrong' : 'Problems'}</h1>
          <p>{problems.length === 0 ? 'as far as the supervisor knows' : 'the gravest first'}</p>
        </div>
      </header>
      <ul class="cards">
        {problems.map((problem) => (
          <Card key={problem.key} api={api} problem={problem} openEdge={openEdge} />
        ))}
      </ul>
      <section class="events" aria-label="What the supervisor says">
        <h2>What the supervisor says</h2>
        <LogList api={api} query={{ replica: 'anylith', lines: '50' }} />
      </section>
    </main>
  );
}

function Card({ api, problem, openEdge }: { api: Api; problem: Problem; openEdge: (edge: EdgeName) => void }) {
  const { gravity, title, text, replica, edge } = problem;
  const [lines, setLines] = useState<LogLine[]>([]);
  // What it says now may be new since it failed once more.
  const wanted = gravity === 'failing' ? replica : undefined;
  useEffect(() => {
    let current = true;
    if (wanted !== undefined) {
      const last = api.get<LogLine[]>('logs', { replica: wanted, lines: '10' });
      // Without them the problem is still told.
      last.then((found) => current && setLines(found), () => {});
    }
    return () => {
      current = false;
    };
  }, [api, wanted, text]);
  return (
    <li class={`card ${gravity}`} data-problem={problem.key}>
      <span class="mark" aria-hidden="true">
        {MARK[gravity]}
      </span>
      <div>
        <h2>
          {title} <span class="gravity">{gravity}</span>
        </h2>
        <p>{text}</p>
        {edge !== undefined && (
          <button type="button" class="plain link" onClick={() => openEdge(edge)}>
            Look at the edge
          </button>
        )}
        {lines.length > 0 && (
          <ol class="log last">
            {lines.map((line, index) => (
              <Line key={index} line={line} />
            ))}
          </ol>
        )}
      </div>
    </li>
  );
}
