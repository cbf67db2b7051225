# Madang's verbs. The work is done by hub/face/setup, in Python's standard library.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run down status logs doctor images test lint bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## install what is missing, build, start Madang on http://127.0.0.1:8000
	@hub/face/setup/start run

down: ## stop Madang and its containers; the data stays
	@hub/face/setup/start down

status: ## what runs
	@hub/face/setup/start status

logs: ## follow the logs of the hub and the proxy
	@hub/face/setup/start logs

doctor: ## check the machine: Docker, cards, network, disk; with what to do
	@hub/face/setup/start doctor

images: ## build the images that people start
	@hub/face/setup/start images

test: ## lint and run every test; installs what the tests need
	@hub/face/setup/start test

lint: ## ruff and mypy
	@hub/face/setup/start lint

bench: ## measure: a start, a tick, asking, the live board on this machine
	@hub/face/setup/start bench

clean: ## delete the environment and caches; the data stays
	@hub/face/setup/start clean
