/** Times, sizes and dates as people read them. Pure. */

/** `1:02:03` or `2:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${hours ? String(minutes).padStart(2, "0") : minutes}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

/** A time that passes: `3 h 20 min`, `4 min`, `12 s`. */
export function span(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${Math.max(0, whole)} s`;
  if (whole < 3600) return whole < 600 && whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.round(whole / 60)} min`;
  const minutes = Math.round(whole / 60);
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

export function bytes(count: number, locale: string): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  const digits = power === 0 || value >= 100 ? 0 : 1;
  return `${value.toLocaleString(locale, { maximumFractionDigits: digits })} ${units[power]}`;
}

/** From megabytes of memory, which are counted by 1024. */
export function memory(megabytes: number, locale: string): string {
  if (megabytes < 1024) return `${Math.round(megabytes)} MB`;
  return `${(megabytes / 1024).toLocaleString(locale, { maximumFractionDigits: 1 })} GB`;
}

/** Today: the time. Otherwise: the date. */
export function moment(iso: string, locale: string, now = new Date()): string {
  const when = new Date(iso);
  if (when.toDateString() === now.toDateString()) {
    return when.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
  }
  const year = when.getFullYear() === now.getFullYear() ? undefined : ("numeric" as const);
  return when.toLocaleDateString(locale, { day: "numeric", month: "short", year });
}

export function fullMoment(iso: string, locale: string): string {
  return new Date(iso).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** `1.5×`, `24×`: how much faster than the recording plays. */
export function speed(factor: number, locale: string): string {
  return `${factor.toLocaleString(locale, { maximumFractionDigits: factor < 10 ? 1 : 0 })}×`;
}

export function languageName(code: string, locale: string): string {
  try {
    const name = new Intl.DisplayNames([locale], { type: "language" }).of(code === "jw" ? "jv" : code);
    return name ? name.charAt(0).toLocaleUpperCase(locale) + name.slice(1) : code;
  } catch {
    return code;
  }
}
