import ArgumentParser
import Files
import Foundation

/// What the argument parser does not say of wrong usage: which command or flag was meant, and that a
/// negative number is a value.
///
/// Looks at arguments that the parser has refused, so that right usage costs nothing.
struct UsageAdvice {
    /// The parts of the parser's own description of a program that matter here.
    private struct Program: Decodable {
        struct Command: Decodable {
            var commandName: String
            var subcommands: [Command]?
            var arguments: [Argument]?
        }
        struct Argument: Decodable {
            struct Name: Decodable {
                var kind: String
                var name: String
            }
            var kind: String
            var names: [Name]?
        }
        var command: Command
    }

    enum Finding: Equatable {
        /// The same usage in a form that the parser reads.
        case arguments([String])
        /// A message without "Error: " and usage.
        case problem(String)
    }

    private let root: Program.Command

    /// Nil where the parser's description cannot be read.
    init?(_ program: any ParsableCommand.Type) {
        guard
            let program = try? JSONDecoder().decode(
                Program.self, from: Data(program._dumpHelp().utf8))
        else { return nil }
        root = program.command
    }

    /// Nil where there is nothing to add to what the parser says.
    func examine(_ arguments: [String]) -> Finding? {
        guard let first = arguments.first, !first.hasPrefix("-") else { return nil }
        let commands = root.subcommands ?? []
        if first == "help" {
            guard arguments.count > 1, !arguments[1].hasPrefix("-") else { return nil }
            return unknownCommand(arguments[1], among: commands)
        }
        if let problem = unknownCommand(first, among: commands) { return problem }
        guard let command = commands.first(where: { $0.commandName == first }) else { return nil }
        return examine(arguments, of: command)
    }

    private func unknownCommand(_ name: String, among commands: [Program.Command]) -> Finding? {
        let names = commands.map(\.commandName)
        guard !names.contains(name), name != "help" else { return nil }
        return .problem(
            "Unknown command '\(name)'"
                + (NearestName.of(name, among: names).map { "; did you mean '\($0)'?" }
                    ?? "; it is one of \(names.sorted().joined(separator: ", "))"))
    }

    private func examine(_ arguments: [String], of command: Program.Command) -> Finding? {
        var takesValue: [String: Bool] = ["--help": false, "--version": false]
        for argument in command.arguments ?? [] where argument.kind != "positional" {
            for name in argument.names ?? [] {
                takesValue[(name.kind == "long" ? "--" : "-") + name.name] =
                    argument.kind == "option"
            }
        }
        var joined: [String] = []
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            index += 1
            if argument == "--" {
                joined += arguments[(index - 1)...]
                break
            }
            let parts = argument.split(separator: "=", maxSplits: 1)
            guard argument.hasPrefix("--"), let name = parts.first.map(String.init) else {
                joined.append(argument)
                continue
            }
            guard let hasValue = takesValue[name] else {
                let flags = takesValue.keys.filter { $0.hasPrefix("--") }.sorted()
                return .problem(
                    "Unknown option '\(name)'"
                        + (NearestName.of(name, among: flags).map { "; did you mean '\($0)'?" }
                            ?? ""))
            }
            guard hasValue, parts.count == 1, index < arguments.count else {
                joined.append(argument)
                continue
            }
            let value = arguments[index]
            if value.hasPrefix("-"), Double(value) != nil {
                joined.append("\(argument)=\(value)")
                index += 1
            } else {
                joined.append(argument)
                if !value.hasPrefix("-") {
                    joined.append(value)
                    index += 1
                }
            }
        }
        return joined == arguments ? nil : .arguments(joined)
    }
}
