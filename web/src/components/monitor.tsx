/** The last hour of the server, drawn. */

import type { History, HistorySample } from "@scrivano/client";
import { useEffect, useId, useState } from "react";
import { useLocale, useT } from "../i18n";
import { memory, span, speed } from "../lib/format";
import { client, messageOf } from "../lib/server";
import { Empty, Failure } from "./ui";

const REFRESH_MS = 5000;
const HOUR_S = 3600;

interface Line {
  name: string;
  values: (number | null)[];
}

export function Monitor() {
  const t = useT();
  const { locale } = useLocale();
  const { data, error } = useHistory();

  useEffect(() => {
    document.title = `${t("monitor")} · Scrivano`;
  }, [t]);

  const samples = data?.samples ?? [];
  const of = (read: (sample: HistorySample) => number | null) => samples.map(read);
  const whole = (value: number) => value.toLocaleString(locale, { maximumFractionDigits: 0 });
  const percent = (value: number) => `${Math.round(100 * value)} %`;
  const interval = data?.interval_secs ?? 10;
  return (
    <>
      <header className="monitor-head">
        <h1>{t("monitor")}</h1>
        <p className="hint">{t("monitor.hint")}</p>
      </header>
      <Failure text={error} />
      {data && samples.length < 2 && <Empty title={t("monitor")}>{t("monitor.empty")}</Empty>}
      {data && samples.length >= 2 && (
        <div className="charts">
          <Chart
            title={t("monitor.queue")}
            format={whole}
            least={4}
            samples={samples}
            lines={[
              { name: t("monitor.running"), values: of((one) => one.running) },
              { name: t("monitor.waiting"), values: of((one) => one.queued) },
            ]}
          />
          <Chart
            title={t("monitor.throughput")}
            unit={t("monitor.throughput.unit")}
            format={(value) => speed(value, locale)}
            least={2}
            samples={samples}
            lines={[{ name: t("monitor.throughput"), values: of((one) => one.audio_secs / interval) }]}
          />
          <Chart
            title={t("monitor.busy")}
            unit={t("monitor.busy.unit")}
            format={percent}
            least={1}
            most={1}
            samples={samples}
            lines={[{ name: t("monitor.busy"), values: of((one) => one.busy) }]}
          />
          <Chart
            title={t("monitor.memory")}
            unit={t("monitor.memory.server")}
            format={(value) => memory(value, locale)}
            least={256}
            samples={samples}
            lines={[{ name: t("monitor.memory.server"), values: of((one) => one.memory_mb) }]}
          />
          <Chart
            title={t("monitor.cpu")}
            unit={t("monitor.cpu.unit")}
            format={(value) => value.toLocaleString(locale, { maximumFractionDigits: 1 })}
            least={data.cpu_cores ?? 1}
            samples={samples}
            lines={[{ name: t("monitor.cpu"), values: of((one) => one.cpu_cores) }]}
          />
          {data.gpu_total_mb != null && (
            <Chart
              title={data.gpu_name ?? t("monitor.gpu")}
              unit={t("monitor.gpu")}
              format={(value) => memory(value, locale)}
              least={data.gpu_total_mb}
              most={data.gpu_total_mb}
              samples={samples}
              lines={[{ name: t("monitor.gpu"), values: of((one) => one.gpu_used_mb) }]}
            />
          )}
        </div>
      )}
    </>
  );
}

function useHistory(): { data: History | undefined; error: string | undefined } {
  const [data, setData] = useState<History>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    const controller = new AbortController();
    const read = () =>
      client.history({ signal: controller.signal }).then(
        (found) => (setData(found), setError(undefined)),
        (reason: unknown) => !controller.signal.aborted && setError(messageOf(reason)),
      );
    void read();
    const timer = window.setInterval(() => !document.hidden && void read(), REFRESH_MS);
    return () => {
      controller.abort();
      window.clearInterval(timer);
    };
  }, []);
  return { data, error };
}

const [WIDTH, HEIGHT] = [600, 150];

interface ChartProps {
  title: string;
  unit?: string;
  samples: readonly HistorySample[];
  lines: readonly Line[];
  format: (value: number) => string;
  /** The axis reaches at least to this value, and at most to `most`. */
  least: number;
  most?: number;
}

function Chart({ title, unit, samples, lines, format, least, most }: ChartProps) {
  const t = useT();
  const fade = useId();
  const known = lines.flatMap(({ values }) => values).filter((value) => value !== null);
  if (known.length === 0) return null;
  const totals = samples.map((_, at) => lines.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const [now, peak] = [totals.at(-1) ?? 0, Math.max(...totals)];
  const top = Math.min(most ?? Infinity, niceAbove(Math.max(...known, least)));
  const end = Date.parse(samples.at(-1)?.at ?? "");
  const started = Math.max(0, (end - Date.parse(samples[0]?.at ?? "")) / 1000);
  const shown = Math.min(HOUR_S, Math.max(300, started));
  const x = (at: string) => WIDTH - ((end - Date.parse(at)) / 1000 / shown) * WIDTH;
  const y = (value: number) => HEIGHT - (Math.min(value, top) / top) * HEIGHT;
  return (
    <section className="card chart" aria-label={title}>
      <header>
        <div>
          <h2>{title}</h2>
          {unit && <p className="hint">{unit}</p>}
        </div>
        <p className="chart-now">{format(now)}</p>
      </header>
      <div className="plot">
        <svg
          role="img"
          aria-label={t("monitor.chart", { title, now: format(now), peak: format(peak) })}
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
        >
          <defs>
            <linearGradient id={fade} x1="0" x2="0" y1="0" y2="1">
              <stop offset="0" className="fade-from" />
              <stop offset="1" className="fade-to" />
            </linearGradient>
          </defs>
          {[0, 0.5, 1].map((share) => (
            <line key={share} className="grid" x1="0" x2={WIDTH} y1={HEIGHT * share} y2={HEIGHT * share} />
          ))}
          {lines.map(({ name, values }, index) => {
            const points = samples.flatMap((sample, at) => {
              const value = values[at];
              return value == null ? [] : [`${x(sample.at).toFixed(1)},${y(value).toFixed(1)}`];
            });
            const [first, last] = [points[0]?.split(",")[0], points.at(-1)?.split(",")[0]];
            return (
              <g key={name} className={`line line-${index}`}>
                {index === 0 && <polygon fill={`url(#${fade})`} points={`${first},${HEIGHT} ${points.join(" ")} ${last},${HEIGHT}`} />}
                <polyline points={points.join(" ")} />
              </g>
            );
          })}
        </svg>
        <span className="axis top-label">{format(top)}</span>
        <span className="axis start-label">{t("monitor.ago", { time: span(shown) })}</span>
        <span className="axis end-label">{t("monitor.today")}</span>
      </div>
      {lines.length > 1 && (
        <ul className="legend">
          {lines.map(({ name, values }, index) => (
            <li key={name} className={`line-${index}`}>
              {name} <strong>{format(values.at(-1) ?? 0)}</strong>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** The next of 1, 2, 5, 10, … that is not less. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  const factor = [1, 2, 4, 5, 8, 10].find((step) => step * power >= value * 0.999) ?? 10;
  return factor * power;
}
