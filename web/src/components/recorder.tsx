/** Records from the microphone. What was recorded is uploaded when it is stopped. */

import { useEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { choices } from "../lib/choices";
import { clock } from "../lib/format";
import { upload } from "../lib/uploads";
import { MicIcon, StopIcon } from "./icons";
import { Button, tell } from "./ui";

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

interface Session {
  stream: MediaStream;
  recorder: MediaRecorder;
  parts: Blob[];
  startedAt: number;
}

export function Recorder({ onDone }: { onDone: () => void }) {
  const t = useT();
  const [session, setSession] = useState<Session>();
  const [starting, setStarting] = useState(false);
  const possible = Boolean(navigator.mediaDevices) && typeof MediaRecorder === "function";

  // A page that is closed gives the microphone back.
  useEffect(() => () => session?.stream.getTracks().forEach((track) => track.stop()), [session]);

  const start = async () => {
    setStarting(true);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
      const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
      const parts: Blob[] = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      recorder.start(1000);
      setSession({ stream, recorder, parts, startedAt: performance.now() });
    } catch (error) {
      const refused = error instanceof DOMException && error.name === "NotAllowedError";
      tell(refused ? t("mic.refused") : t("mic.none"), true);
    } finally {
      setStarting(false);
    }
  };

  const finish = ({ recorder, parts }: Session) => {
    recorder.onstop = () => {
      const type = recorder.mimeType.split(";")[0] || "audio/webm";
      const stamp = new Date().toLocaleString("sv").replace(":", ".").slice(0, 16).replaceAll(":", ".");
      upload([new File(parts, `${t("mic.name")} ${stamp}.${type.split("/")[1]}`, { type })], choices.get());
      onDone();
    };
    recorder.stop();
  };

  if (!possible) return <p className="drop-more hint">{t("mic.insecure")}</p>;
  return (
    <div className="drop-more recorder">
      {session ? (
        <>
          <Level stream={session.stream} />
          <Elapsed since={session.startedAt} />
          <Button kind="primary" onClick={() => finish(session)}>
            <StopIcon />
            {t("mic.stop")}
          </Button>
          <Button kind="quiet" onClick={onDone}>
            {t("mic.discard")}
          </Button>
        </>
      ) : (
        <>
          <Button kind="primary" disabled={starting} onClick={() => void start()}>
            <MicIcon />
            {t("mic.start")}
          </Button>
          <p className="hint">{t("mic.hint")}</p>
        </>
      )}
    </div>
  );
}

function Elapsed({ since }: { since: number }) {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(performance.now()), 500);
    return () => window.clearInterval(timer);
  }, []);
  return (
    <span className="elapsed" role="timer">
      {clock((now - since) / 1000)}
    </span>
  );
}

/** How loud it is: a recording of silence is noticed while it is made. */
function Level({ stream }: { stream: MediaStream }) {
  const fill = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Uint8Array(analyser.fftSize);
    let frame = 0;
    const draw = () => {
      analyser.getByteTimeDomainData(samples);
      const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample - 128)), 0) / 128;
      if (fill.current) fill.current.style.transform = `scaleX(${Math.min(1, loudest * 1.4)})`;
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => {
      cancelAnimationFrame(frame);
      void context.close();
    };
  }, [stream]);
  return (
    <div className="level" aria-hidden="true">
      <div ref={fill} />
    </div>
  );
}
