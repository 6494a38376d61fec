// Short messages at the edge of the page, and commands that wait a moment so that they can be taken back.

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
  undo: (() => void) | null;
}

export const toasts = $state<{ list: Toast[] }>({ list: [] });
let next = 1;

function show(text: string, bad: boolean, ms: number, undo: (() => void) | null = null): number {
  const id = next++;
  toasts.list = [...toasts.list.slice(-3), { id, text, bad, undo }];
  setTimeout(() => dismiss(id), ms);
  return id;
}

export function dismiss(id: number): void {
  toasts.list = toasts.list.filter((toast) => toast.id !== id);
}

export const say = (text: string): number => show(text, false, 5000);
export const warn = (text: string): number => show(text, true, 9000);

const UNDO_MS = 8000;

/** Holds a command back for 8 s. It is sent at once when the page closes, and never if it is taken back. */
export function withUndo(text: string, send: (closing: boolean) => void, takeBack: () => void): void {
  let over = false;
  const finish = (closing: boolean): void => {
    if (over) return;
    over = true;
    removeEventListener('pagehide', closed);
    clearTimeout(timer);
    dismiss(id);
    send(closing);
  };
  const closed = (): void => finish(true);
  const timer = setTimeout(() => finish(false), UNDO_MS);
  addEventListener('pagehide', closed);
  const id = show(text, false, UNDO_MS, () => {
    over = true;
    removeEventListener('pagehide', closed);
    clearTimeout(timer);
    dismiss(id);
    takeBack();
  });
}
