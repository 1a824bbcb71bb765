/** Icons, drawn as strokes in the colour of the text. They are decoration: what they mean is said beside them. */

import type { ReactNode } from "react";

function icon(paths: ReactNode, filled = false) {
  return function Icon({ size = 18 }: { size?: number }) {
    return (
      <svg
        aria-hidden="true"
        className="icon"
        width={size}
        height={size}
        viewBox="0 0 24 24"
        fill={filled ? "currentColor" : "none"}
        stroke={filled ? "none" : "currentColor"}
        strokeWidth="1.75"
        strokeLinecap="round"
        strokeLinejoin="round"
      >
        {paths}
      </svg>
    );
  };
}

export const UploadIcon = icon(<path d="M12 16V4M7 9l5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3" />);
export const FolderIcon = icon(<path d="M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z" />);
export const MicIcon = icon(<path d="M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21" />);
export const LinkIcon = icon(<path d="M10 14a4.5 4.5 0 0 0 6.4 0l3-3A4.5 4.5 0 0 0 13 4.600l-1.200 1.200M14 10a4.500 4.500 0 0 0-6.400 0l-3 3A4.500 4.500 0 0 0 11 19.400l1.200-1.200" />);
export const PlayIcon = icon(<path d="M8 5.500v13a.7.7 0 0 0 1.070.6l10.200-6.500a.7.7 0 0 0 0-1.200L9.070 4.900A.7.7 0 0 0 8 5.500z" />, true);
export const PauseIcon = icon(<path d="M7 5h3.500v14H7zM13.500 5H17v14h-3.500z" />, true);
export const StopIcon = icon(<rect x="6" y="6" width="12" height="12" rx="1.500" />, true);
export const BackIcon = icon(<path d="M11 6l-6 6 6 6M5 12h14" />);
export const SearchIcon = icon(<path d="M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM16.200 16.200L20.500 20.500" />);
export const CloseIcon = icon(<path d="M6 6l12 12M18 6L6 18" />);
export const RetryIcon = icon(<path d="M4 12a8 8 0 0 1 13.700-5.600L20 8.500M20 4v4.500h-4.500M20 12a8 8 0 0 1-13.700 5.600L4 15.500M4 20v-4.500h4.500" />);
export const TrashIcon = icon(<path d="M4.500 7h15M9.500 7V4.500h5V7M6.500 7l.8 12.500h9.400L17.500 7M10 11v5M14 11v5" />);
export const CopyIcon = icon(<path d="M9 9h10.500v10.500H9zM5.500 15H4.500V4.500H15v1" />);
export const DownloadIcon = icon(<path d="M12 4v12M7 11l5 5 5-5M4.500 20h15" />);
export const EditIcon = icon(<path d="M4.500 19.500l.9-4L16 4.900a1.500 1.500 0 0 1 2.100 0l1 1a1.500 1.500 0 0 1 0 2.100L8.500 18.600z" />);
export const UndoIcon = icon(<path d="M8 5L4 9l4 4M4.500 9H14a5.500 5.500 0 0 1 0 11H9" />);
export const CheckIcon = icon(<path d="M5 12.500l4.500 4.500L19 7.500" />);
export const WarningIcon = icon(<path d="M12 4.500l8.500 15h-17zM12 10.500v4M12 17v.1" />);
export const SunIcon = icon(<path d="M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400" />);
export const MoonIcon = icon(<path d="M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z" />);
export const AutoIcon = icon(<path d="M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16" />);
export const KeyIcon = icon(<path d="M15 4.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zM11.500 12L4.500 19v.5H8v-2h2v-2l2-2M15.800 8.200h.1" />);
export const ChartIcon = icon(<path d="M4 19.500h16M7 16v-5M12 16V6M17 16v-8" />);
export const ListIcon = icon(<path d="M4.500 6.500h15M4.500 12h15M4.500 17.500h10" />);
export const ChevronIcon = icon(<path d="M7 10l5 5 5-5" />);
export const FollowIcon = icon(<path d="M12 4v14M7 13l5 5 5-5" />);
export const PersonIcon = icon(<path d="M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4.500 20a7.500 7.500 0 0 1 15 0" />);

export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 64 64" className="mark">
      <rect width="64" height="64" rx="15" fill="var(--accent-solid)" />
      <g fill="none" stroke="var(--on-accent)" strokeWidth="5" strokeLinecap="round">
        <path d="M14 27v10M23 19v26M32 24v16" />
        <path d="M41 25h9M41 32h6M41 39h9" />
      </g>
    </svg>
  );
}
