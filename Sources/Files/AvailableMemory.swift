import Foundation

/// How much memory this process can still take.
public enum AvailableMemory {
    /// Bytes: the least of what the system has free or can free, swap included, what this process's
    /// limit of addresses (`ulimit -v`) leaves, and what its control groups leave. nil where the system
    /// says none of these.
    public static var bytes: Int? {
        [system, addresses, group].compactMap(\.self).min().map { max(0, $0) }
    }

    /// `bytes` in words for an error message, in both forms that people look for.
    public static func text(_ bytes: Int) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB"]
        var scaled = Double(bytes)
        var unit = -1
        while scaled >= 1024, unit + 1 < units.count {
            scaled /= 1024
            unit += 1
        }
        return unit < 0
            ? "\(bytes) bytes" : String(format: "%.1f \(units[unit]) (\(bytes) bytes)", scaled)
    }

    private static func contents(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    /// The number in the line of `text` that begins with `name`, in the line's own unit.
    private static func number(_ name: String, in text: String) -> Int? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            return line.dropFirst(name.count).split { !$0.isNumber }.first.flatMap { Int($0) }
        }
        return nil
    }

    private static var system: Int? {
        guard let text = contents("/proc/meminfo"), let free = number("MemAvailable:", in: text)
        else { return nil }
        return (free + (number("SwapFree:", in: text) ?? 0)) * 1024
    }

    private static var addresses: Int? {
        guard let limits = contents("/proc/self/limits"),
            let limit = number("Max address space", in: limits),
            !limits.contains(/Max address space +unlimited/),
            let pages = contents("/proc/self/statm")?.split(separator: " ").first,
            let used = Int(pages)
        else { return nil }
        return limit - used * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The tightest limit of version 2 control groups on the way up from this process's own. Pages of
    /// files count as free: the system drops them first.
    private static var group: Int? {
        guard
            let line = contents("/proc/self/cgroup")?.split(separator: "\n")
                .first(where: { $0.hasPrefix("0::") })
        else { return nil }
        var names = line.dropFirst(3).split(separator: "/")
        var least: Int?
        while true {
            let folder = (["/sys/fs/cgroup"] + names).joined(separator: "/")
            if let limit = contents(folder + "/memory.max").flatMap({ Int($0.dropLast()) }),
                let used = contents(folder + "/memory.current").flatMap({ Int($0.dropLast()) })
            {
                let files = contents(folder + "/memory.stat").flatMap { number("file ", in: $0) }
                least = min(least ?? .max, limit - used + (files ?? 0))
            }
            if names.popLast() == nil { return least }
        }
    }
}
