/** Small parts that several views use. */

import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useT } from "../i18n";
import { reachable } from "../lib/server";
import { Store, useStore } from "../lib/store";
import { CloseIcon } from "./icons";

interface ButtonProps {
  children: ReactNode;
  onClick: () => void;
  kind?: "plain" | "primary" | "quiet" | "danger";
  disabled?: boolean;
  label?: string;
  pressed?: boolean;
  className?: string;
}

export function Button({ children, onClick, kind = "plain", disabled, label, pressed, className = "" }: ButtonProps) {
  return (
    <button
      type="button"
      className={`button ${kind} ${className}`}
      onClick={onClick}
      disabled={disabled}
      aria-label={label}
      aria-pressed={pressed}
      title={label}
    >
      {children}
    </button>
  );
}

interface ChoiceProps<Value extends string> {
  label: string;
  value: Value;
  options: readonly { value: Value; text: string }[];
  onChange: (value: Value) => void;
}

/** One of a few, all in sight. */
export function Segmented<Value extends string>({ label, value, options, onChange }: ChoiceProps<Value>) {
  const name = useId();
  return (
    <fieldset className="segmented">
      <legend className="unseen">{label}</legend>
      {options.map((option) => (
        <label key={option.value} className={option.value === value ? "chosen" : ""}>
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          <span>{option.text}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function Field({ label, hint, children }: { label: string; hint?: string; children: ReactNode }) {
  return (
    <label className="field">
      <span className="field-label">{label}</span>
      {children}
      {hint && <span className="hint">{hint}</span>}
    </label>
  );
}

export function Check({ label, hint, checked, onChange }: { label: string; hint?: string; checked: boolean; onChange: (on: boolean) => void }) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      <span>
        {label}
        {hint && <span className="hint">{hint}</span>}
      </span>
    </label>
  );
}

export function Bar({ value, label, indeterminate = false }: { value: number; label: string; indeterminate?: boolean }) {
  return (
    <div
      className={`bar ${indeterminate ? "indeterminate" : ""}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={indeterminate ? undefined : Math.round(value)}
    >
      <div className="bar-fill" style={{ transform: `scaleX(${Math.max(0, Math.min(100, value)) / 100})` }} />
    </div>
  );
}

/** A modal dialog. The browser keeps the focus inside, and closes it with Escape. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const t = useT();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={heading}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className="dialog">
        <header>
          <h2 id={heading}>{title}</h2>
          <Button kind="quiet" label={t("close")} onClick={onClose}>
            <CloseIcon />
          </Button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface PopoverProps {
  button: ReactNode;
  /** The name of the panel, and of a button that has no text of its own. */
  label: string;
  named?: boolean;
  className?: string;
  children: ReactNode;
}

/** A button with a panel that opens below it and closes with Escape or a click elsewhere. `named`: the button has text. */
export function Popover({ button, label, named = false, className = "", children }: PopoverProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const panel = useId();
  useEffect(() => {
    if (!open) return;
    const away = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      root.current?.querySelector("button")?.focus();
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
  return (
    <div className={`popover ${className}`} ref={root}>
      <button
        type="button"
        className="popover-button"
        aria-expanded={open}
        aria-controls={open ? panel : undefined}
        aria-label={named ? undefined : label}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div className="panel" id={panel} role="group" aria-label={label}>
          {children}
        </div>
      )}
    </div>
  );
}

// Messages that pass by.

interface Message {
  id: number;
  text: string;
  bad: boolean;
}

const messages = new Store<readonly Message[]>([]);
let lastMessage = 0;

export function tell(text: string, bad = false): void {
  const id = ++lastMessage;
  messages.update((before) => [...before.slice(-2), { id, text, bad }]);
  window.setTimeout(() => messages.update((before) => before.filter((one) => one.id !== id)), bad ? 9000 : 3500);
}

export function Messages() {
  const list = useStore(messages);
  return (
    <div className="messages" role="status" aria-live="polite">
      {list.map(({ id, text, bad }) => (
        <p key={id} className={bad ? "bad" : ""}>
          {text}
        </p>
      ))}
    </div>
  );
}

/** What went wrong. That the server cannot be reached is said above all views. */
export function Failure({ text }: { text: string | undefined }) {
  const there = useStore(reachable);
  return text && there ? <p className="failure">{text}</p> : null;
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
    </div>
  );
}
