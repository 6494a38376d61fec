// The time, once a second, for everything that says how long ago something was.

export const clock = $state({ now: Date.now() });

setInterval(() => {
  if (document.visibilityState === 'visible') clock.now = Date.now();
}, 1000);
document.addEventListener('visibilitychange', () => (clock.now = Date.now()));
