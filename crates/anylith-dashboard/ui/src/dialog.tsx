import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface Props {
  title: string;
  /** Whether it is a sheet at the side instead of a box in the middle. */
  sheet?: boolean;
  /** Whether it needs more room than most. */
  wide?: boolean;
  close: () => void;
  children: ComponentChildren;
}

/** A dialog. The browser keeps the focus in it, closes it with Escape, and gives the focus back. */
export function Dialog({ title, sheet = false, wide = false, close, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement || before instanceof SVGElement) {
        before.focus();
      }
    };
  }, []);
  const beside = (event: MouseEvent) => event.target === element.current && close();
  return (
    <dialog
      ref={element}
      class={`${sheet ? 'sheet' : 'box'} ${wide ? 'wide' : ''}`.trim()}
      aria-labelledby={heading}
      onClose={close}
      onClick={beside}
    >
      <div class="inside">
        <header>
          <h2 id={heading}>{title}</h2>
          <button type="button" class="plain" aria-label="Close" onClick={close}>
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
